"""Objects larger than memory, to and from local files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from pipeline.storage.base import Store

_PART_BYTES = 32 * 2**20  # of one GET: what a retry repeats, and all that is in memory


class Saved(NamedTuple):
    """A downloaded object: ETag, content type (None on local folders), SHA-256 in hex."""

    etag: str
    content_type: str | None
    sha256: str


def get_file(store: Store, key: str, path: Path, *, if_etag: str | None = None) -> Saved:
    """Download one object into a file, in parts that are all of one version of it.

    Raises:
        ObjectChanged: it is not `if_etag`, or was replaced meanwhile. Others as `get`.
        OSError: the file cannot be written.
    """
    digest, done = hashlib.sha256(), 0
    with path.open("wb") as file:
        while True:
            part = store.get(key, if_etag=if_etag, start=done, max_bytes=_PART_BYTES)
            file.write(part.data)
            digest.update(part.data)
            done += len(part.data)
            if len(part.data) < _PART_BYTES:
                return Saved(part.etag, part.content_type, digest.hexdigest())
            if_etag = part.etag
