"""One interface to local folders, S3, Google Cloud and Azure: list, get, put, conditional put, retries.

Jobs first call `refuse_overlap`, `open_store` and the store's `check_readable` / `check_writable`, so that a
typo costs one line and not a run. Stores can be pickled to workers, which create their own S3 clients.
"""

from __future__ import annotations

from pipeline.config.extras import require
from pipeline.config.storage import StorageConfig
from pipeline.storage.base import GetResult, ObjectInfo, Store, check_key
from pipeline.storage.half_written import remove_half_written
from pipeline.storage.local import LocalStore
from pipeline.storage.local_errors import translated, unusable
from pipeline.storage.uri import BucketLocation, parse_uri, refuse_overlap

__all__ = [
    "GetResult",
    "ObjectInfo",
    "Store",
    "check_key",
    "drop_half_written",
    "open_store",
    "refuse_overlap",
    "unusable",
]


def open_store(uri: str, config: StorageConfig) -> Store:
    """The store at a local path, `file:///path`, `s3://bucket/prefix`, `gs://bucket/prefix` or
    `az://container/prefix`; touches neither disk nor network.

    Raises:
        ConfigError: empty, an unknown scheme, no valid bucket name, or packages of a cloud are missing.
    """
    location = parse_uri(uri)
    if not isinstance(location, BucketLocation):
        return LocalStore(location)
    bucket, prefix, scheme = location
    if scheme == "gs":
        require("gcs", "Google Cloud Storage")
        from pipeline.storage.gcs import GcsStore  # import each cloud's packages only when it is used

        return GcsStore(bucket, prefix, config)
    if scheme == "az":
        require("azure", "Azure Blob Storage")
        from pipeline.storage.azure import AzureStore

        return AzureStore(bucket, prefix, config)
    from pipeline.storage.s3 import S3Store

    return S3Store(bucket, prefix, config)


def drop_half_written(store: Store) -> None:
    """Remove half-written files of dead processes (`remove_half_written`).

    In a bucket, an object exists completely or not at all; a rule of the bucket ends unfinished uploads.

    Raises:
        StorageError: one cannot be removed.
    """
    if not isinstance(store, LocalStore):
        return
    try:
        remove_half_written(store.root)
    except OSError as error:
        raise translated(error, store.root, "remove half-written files below") from None
