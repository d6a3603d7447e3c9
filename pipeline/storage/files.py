"""Transfer objects larger than memory to and from local files."""

from __future__ import annotations

import hashlib
import mmap
import os
from pathlib import Path
from typing import NamedTuple

from pipeline.storage.base import OTHER_PARTS, Store, damaged, printable, wrong_md5

_PART_BYTES = 32 * 2**20  # of one GET: the part that a retry repeats, and all that is in memory
_TRIES = 3


class Saved(NamedTuple):
    """A downloaded object: ETag, content type (None on local folders), SHA-256 in hex."""

    etag: str
    content_type: str | None
    sha256: str


def get_file(
    store: Store, key: str, path: Path, *, if_etag: str | None = None, size: int | None = None
) -> Saved:
    """Download one object into a file, in parts that all have the same version.

    The result is compared with `size`, the number of bytes in the listing, and with the store's MD5 if there
    is one; if they differ, it is downloaded again.

    Raises:
        ObjectChanged: its ETag is not `if_etag`, or it was replaced meanwhile. Others as `get`.
        OSError: the file cannot be written.
    """
    for _ in range(_TRIES):
        saved, md5, expected = _download(store, key, path, if_etag, size)
        if expected is None:
            right, difference = _fits_parts(store, key, path, saved.etag), OTHER_PARTS
        else:
            right, difference = md5 == expected, wrong_md5(md5, expected)
        if right:
            return saved
    raise damaged(f"{printable(key)} in {store.uri}", difference, _TRIES)


def _fits_parts(store: Store, key: str, path: Path, etag: str) -> bool:
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:  # nothing to be mapped
            return True
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return store.fits_parts(key, data, etag)


def _download(
    store: Store, key: str, path: Path, if_etag: str | None, size: int | None
) -> tuple[Saved, str, str | None]:
    """Download once; return also the MD5 of the bytes and the one that the store states."""
    digest, md5, done = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with path.open("wb") as file:
        while True:
            part = store.get(key, if_etag=if_etag, start=done, max_bytes=_PART_BYTES, size=size)
            file.write(part.data)
            digest.update(part.data)
            if part.md5 is not None:
                md5.update(part.data)
            done += len(part.data)
            if len(part.data) < _PART_BYTES:
                saved = Saved(part.etag, part.content_type, digest.hexdigest())
                return saved, md5.hexdigest(), part.md5
            if_etag = part.etag
