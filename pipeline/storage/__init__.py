"""One door to local folders and S3: list, get, put, conditional put, retry policy.

Jobs call `refuse_overlap`, `open_store` and the store's `check_readable` / `check_writable` up front, so that
a typing error costs one line and not a run. A store pickles to workers; an S3 client is made anew there.
"""

from __future__ import annotations

from pipeline.config.storage import StorageConfig
from pipeline.storage.base import Fetched, ObjectInfo, Store, check_key
from pipeline.storage.half_written import remove_half_written
from pipeline.storage.local import LocalStore
from pipeline.storage.local_errors import translated, unusable
from pipeline.storage.s3 import S3Store
from pipeline.storage.uri import S3Location, parse_uri, refuse_overlap

__all__ = [
    "Fetched",
    "ObjectInfo",
    "Store",
    "check_key",
    "drop_half_written",
    "open_store",
    "refuse_overlap",
    "unusable",
]


def open_store(uri: str, config: StorageConfig) -> Store:
    """The store at a local path, `file:///path` or `s3://bucket/prefix`; touches neither disk nor network.

    Raises:
        ConfigError: empty, an unknown scheme, or no valid bucket name.
    """
    location = parse_uri(uri)
    if isinstance(location, S3Location):
        return S3Store(location.bucket, location.prefix, config)
    return LocalStore(location)


def drop_half_written(store: Store) -> None:
    """Remove the files that processes have left half written when they died (`remove_half_written`).

    In a bucket an object is there whole or not at all: its own rule ends uploads that were begun.

    Raises:
        StorageError: one cannot be removed.
    """
    if not isinstance(store, LocalStore):
        return
    try:
        remove_half_written(store.root)
    except OSError as error:
        raise translated(error, store.root, "remove half-written files below") from None
