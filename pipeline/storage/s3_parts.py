"""The ETag of an object that was uploaded in parts: the MD5 of the parts' MD5s, a hyphen, their number."""

from __future__ import annotations

import hashlib
import re
from mmap import mmap
from typing import Any

from botocore import exceptions as aws

#: "-1" is excluded, because some servers use it to mark an ETag that is not an MD5.
_OF_PARTS = re.compile(r"[0-9a-f]{32}-(?!1$)([1-9][0-9]{0,4})")
#: Default part sizes of upload programs in MiB; the AWS CLI's first.
_USUAL = (8, 16, 5, 15, 10, 25, 32, 50, 64, 100, 128)
_MOST_PARTS = 200  # one request each, only for objects that no usual size fits


def is_of_parts(etag: str) -> bool:
    """Whether an ETag has this form."""
    return _OF_PARTS.fullmatch(etag) is not None


def differs(client: Any, query: dict[str, Any], data: bytes | mmap, etag: str) -> bool:
    """Whether these bytes differ from the parts. Also False if that is unknown: another kind of ETag, very
    many parts, or a server that does not reveal their sizes.

    Args:
        query: identifies the object, for one request per part if no usual size fits.
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
    except aws.ClientError:  # not every server supports this; the GET has already checked the object
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
