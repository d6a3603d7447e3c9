"""The versions of a key in a versioned bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def since_delete(bucket: str, whole: str, list_page: Callable[..., Any]) -> Iterator[str]:
    """Version ids of a full key since its last deletion, newest first, one per page, because boto3 separates
    versions and delete markers within a page.

    Args:
        list_page: asks for a page of `list_object_versions`.
    """
    page: dict[str, Any] = {"Bucket": bucket, "Prefix": whole, "MaxKeys": 1}
    while True:
        answer = list_page(**page)
        versions = answer.get("Versions", ())
        if not versions or versions[0]["Key"] != whole:
            return
        yield versions[0]["VersionId"]
        if not answer.get("IsTruncated"):
            return
        page.update({"KeyMarker": answer["NextKeyMarker"], "VersionIdMarker": answer["NextVersionIdMarker"]})
