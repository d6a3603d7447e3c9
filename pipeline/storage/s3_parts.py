"""The ETag of an object that was uploaded in parts: the MD5 of the parts' MD5s, a hyphen, their number."""

from __future__ import annotations

import hashlib
import re
from mmap import mmap
from typing import Any

from botocore import exceptions as aws

#: A single part with a number is left out: some servers mark so an ETag that is no MD5 at all.
_OF_PARTS = re.compile(r"[0-9a-f]{32}-(?!1$)([1-9][0-9]{0,4})")
#: Sizes in MiB that upload programs take where nobody tells them another; the AWS CLI's first.
_USUAL = (8, 16, 5, 15, 10, 25, 32, 50, 64, 100, 128)
_MOST_PARTS = 200  # a request for each, and only for an object that no usual size fits


def is_of_parts(etag: str) -> bool:
    """Whether it is of this kind."""
    return _OF_PARTS.fullmatch(etag) is not None


def differs(client: Any, query: dict[str, Any], data: bytes | mmap, etag: str) -> bool:
    """Whether these bytes are not those of the parts. False also where that cannot be told: another kind of
    ETag, very many parts, a server that does not tell their sizes.

    Args:
        query: names the object, for a request for each part where no usual size fits.
    """
    number = _OF_PARTS.fullmatch(etag)
    if number is None:
        return False
    count = int(number[1])
    for mib in _USUAL:
        sizes = _equal(len(data), mib << 20)
        if len(sizes) == count and _etag(data, sizes) == etag:
            return False
    if count > _MOST_PARTS:
        return False
    # no condition: some servers compare it with the ETag of the part
    query = {name: query[name] for name in ("Bucket", "Key")}
    try:
        heads = [client.head_object(**query, PartNumber=part) for part in range(1, count + 1)]
    except aws.ClientError:  # not every server knows parts; what the object is, the GET has told already
        return False
    sizes = [int(head["ContentLength"]) for head in heads]
    return sum(sizes) == len(data) and _etag(data, sizes) != etag


def _equal(size: int, part: int) -> list[int]:
    """The sizes of the parts where all but the last are of `part` bytes."""
    return [min(part, size - start) for start in range(0, size, part)]


def _etag(data: bytes | mmap, sizes: list[int]) -> str:
    view, md5s = memoryview(data), b""
    for size in sizes:
        md5s += hashlib.md5(view[:size], usedforsecurity=False).digest()
        view = view[size:]
    return f"{hashlib.md5(md5s, usedforsecurity=False).hexdigest()}-{len(sizes)}"
