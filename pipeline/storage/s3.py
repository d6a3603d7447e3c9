"""A bucket prefix as a store, on AWS or any S3 server, using boto3."""

from __future__ import annotations

import base64
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from mmap import mmap
from pathlib import Path
from typing import Any, TypeVar

from boto3.s3.transfer import TransferConfig
from botocore import exceptions as aws

from pipeline.config.storage import StorageConfig
from pipeline.errors import (
    AccessDenied,
    AlreadyExists,
    ObjectMissing,
    StorageError,
)
from pipeline.storage.base import GetResult, ObjectInfo, check_key, damaged, printable
from pipeline.storage.s3_body import BrokenBody, WrongBody, check_md5, fetch, fits_parts
from pipeline.storage.s3_client import client_of
from pipeline.storage.s3_listing import list_sorted
from pipeline.storage.s3_parts import is_of_parts
from pipeline.storage.s3_refusals import (
    ArrivedDamaged,
    Busy,
    Conflict,
    PreconditionFailed,
    UploadGone,
    translated,
)
from pipeline.storage.s3_versions import since_delete

T = TypeVar("T")
Versions = list[str]  # ids

#: Tries of an early check: a mistyped endpoint should cost seconds, not all retries of a run.
_CHECK_TRIES = 2
#: Seconds before each retry after 409: a concurrent put was in progress and may still fail or succeed.
_CONFLICT_PAUSES = (0.1, 0.3, 1.0, 3.0, 0.0)
#: For files: a retry repeats one part; two parts are in memory at a time.
_UPLOAD = TransferConfig(
    multipart_threshold=16 * 2**20, multipart_chunksize=16 * 2**20, max_concurrency=2, use_threads=True
)
#: Asks the listing which archived objects are restored. Servers that do not support it omit it from the
#: answer; directory buckets (S3 Express), which archive nothing, support neither this nor StartAfter.
_RESTORE_STATUS = {"OptionalObjectAttributes": ["RestoreStatus"]}
_DIRECTORY_BUCKET = "--x-s3"
_AWS = (".amazonaws.com", ".amazonaws.com.cn")
#: How often to read an object with wrong bytes again: usually the transfer is faulty, not the object.
_WRONG_TRIES = 4


class S3Store:
    """See `Store`. Holds no connection, so it can be pickled; processes make a client per configuration."""

    def __init__(self, bucket: str, prefix: str, config: StorageConfig) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        self.config = config

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """As in `Store`. Lists prefixes in parallel; memory is bounded by the pages in flight."""
        client, cut = self._client(), len(self.prefix)
        optional = {} if self.bucket.endswith(_DIRECTORY_BUCKET) else _RESTORE_STATUS

        def page(**query: Any) -> Any:
            return self._call(
                "list", prefix, lambda: client.list_objects_v2(Bucket=self.bucket, **optional, **query)
            )

        for info in list_sorted(page, self.prefix + prefix, jump=bool(optional)):
            if info.key != self.prefix:  # the marker of the root folder itself is not below it
                yield info._replace(key=info.key[cut:])

    def get(
        self,
        key: str,
        *,
        if_etag: str | None = None,
        start: int = 0,
        max_bytes: int | None = None,
        size: int | None = None,
    ) -> GetResult:
        query: dict[str, Any] = {"Bucket": self.bucket, "Key": self.prefix + key}
        if if_etag is not None:
            query["IfMatch"] = f'"{if_etag}"'
        if start or max_bytes is not None:
            end = "" if max_bytes is None else start + max(max_bytes, 1) - 1
            query["Range"] = f"bytes={start}-{end}"
        wanted = None
        if size is not None:
            wanted = (
                max(0, size - start) if max_bytes is None else min(max(max_bytes, 1), max(0, size - start))
            )
        return self._fetch(key, query, wanted)

    def _fetch(self, key: str, query: dict[str, Any], wanted: int | None) -> GetResult:
        verify, wrong = self.config.verify_reads, 0
        for tried in range(self.config.retries + 1):
            try:
                return self._call("read", key, lambda: fetch(self._client(), query, wanted, verify))
            except BrokenBody as error:
                broken = error
            wrong += isinstance(broken, WrongBody)
            if wrong > _WRONG_TRIES:
                break
            time.sleep(min(5.0, 0.1 * 2**tried))
        if isinstance(broken, WrongBody):
            raise damaged(self._name(key), str(broken), tried + 1)
        raise StorageError(f"the download of {self._name(key)} was interrupted: {broken}")

    def put(self, key: str, data: bytes, content_type: str | None = None) -> None:
        self._put(key, data, content_type)

    def put_file(self, key: str, path: Path, content_type: str | None = None) -> None:
        if path.stat().st_size < _UPLOAD.multipart_threshold:
            self._put(key, path.read_bytes(), content_type)
            return
        check_key(key)
        extra = {"ContentType": content_type} if content_type else None

        def upload() -> None:
            with path.open("rb") as file:
                self._client().upload_fileobj(
                    file, self.bucket, self.prefix + key, ExtraArgs=extra, Config=_UPLOAD
                )

        self._written(key, upload)

    def put_if_absent(self, key: str, data: bytes, content_type: str | None = None) -> None:
        in_doubt = False  # whether a request of ours was done, for its answer was lost
        for pause in _CONFLICT_PAUSES:
            try:
                return self._stay_if_first(key, self._put(key, data, content_type, IfNoneMatch="*"))
            except (Conflict, PreconditionFailed) as error:
                in_doubt = in_doubt or error.retried
                if in_doubt and self._holds(key, data):
                    return None
                if isinstance(error, PreconditionFailed):
                    raise AlreadyExists(f"{self._name(key)} already exists") from None
            time.sleep(pause)
        raise AlreadyExists(f"{self._name(key)} is being written by another attempt")

    def _holds(self, key: str, data: bytes) -> bool:
        try:
            return self.get(key).data == data
        except ObjectMissing:
            return False

    def fits_parts(self, key: str, data: bytes | mmap, etag: str) -> bool:
        query = {"Bucket": self.bucket, "Key": self.prefix + key, "IfMatch": f'"{etag}"'}
        if not self.config.verify_reads or not is_of_parts(etag):
            return True
        return self._call("read", key, lambda: fits_parts(self._client(), query, data))

    def exists(self, key: str) -> bool:
        query = {"Bucket": self.bucket, "Key": self.prefix + key}
        try:
            self._call("read", key, lambda: self._client().head_object(**query))
        except ObjectMissing:
            return False
        return True

    def is_restored(self, key: str) -> bool:
        query = {"Bucket": self.bucket, "Key": self.prefix + key}
        head = self._call("read", key, lambda: self._client().head_object(**query))
        return "expiry-date" in head.get("Restore", "")

    def delete(self, key: str) -> None:
        query = {"Bucket": self.bucket, "Key": self.prefix + key}
        self._call("delete", key, lambda: self._client().delete_object(**query))

    def drop_empty_folders(self, folder: str) -> None:
        """Nothing to do: a prefix without objects is not there."""

    def comparable(self, key: str) -> str:
        return key

    def check_readable(self) -> None:
        query: dict[str, Any] = {"Bucket": self.bucket, "Prefix": self.prefix, "MaxKeys": 1}
        self._checked("list", lambda client: client.list_objects_v2(**query))

    def check_writable(self, *, make: bool = True) -> None:
        """Start and abort an upload, which needs permission to write and leaves no object behind."""
        query: dict[str, Any] = {"Bucket": self.bucket, "Key": f"{self.prefix}write-check"}
        begun = self._checked("write to", lambda client: client.create_multipart_upload(**query))
        ended = query | {"UploadId": begun["UploadId"]}
        with suppress(UploadGone):  # a retried abort whose first answer was lost
            self._checked("write to", lambda client: client.abort_multipart_upload(**ended))

    def _checked(self, action: str, request: Callable[[Any], Any]) -> Any:
        """Send the request: with few retries if nothing answers, with all if the server is busy."""
        try:
            return self._call(action, "", lambda: request(self._client(_CHECK_TRIES)))
        except Busy:
            return self._call(action, "", lambda: request(self._client()))

    def _stay_if_first(self, key: str, versions: Versions) -> None:
        """In a versioned bucket on a server that is not AWS, check that the condition really held.

        Ceph's gateway (16.2) adds another version where If-None-Match: * should refuse it. The first version
        since the last delete wins; any other one deletes itself, if the bucket's locks allow it.

        Args:
            versions: ids of the versions that this put created; empty if the bucket is not versioned.

        Raises:
            AlreadyExists: another version was there before.
            Conflict: another version was there before, but by now its writer has deleted it.
        """
        client = self._client()
        if not versions or client.meta.endpoint_url.endswith(_AWS):
            return
        whole = self.prefix + key

        def list_page(**page: Any) -> Any:
            return self._call("list", "", lambda: client.list_object_versions(**page))

        since = list(since_delete(self.bucket, whole, list_page))
        if not since or since[-1] in versions:
            return
        query = {"Bucket": self.bucket, "Key": whole, "VersionId": versions[-1]}
        with suppress(AccessDenied):
            self._call("delete", key, lambda: client.delete_object(**query))
        if not self.exists(key):  # two writers can each see the other's version first: both delete theirs
            raise Conflict(f"every version of {self._name(key)} was deleted")
        raise AlreadyExists(f"{self._name(key)} already exists")

    def _put(self, key: str, data: bytes, content_type: str | None, **condition: Any) -> Versions:
        """Put the object; return the ids of the created versions, in a versioned bucket."""
        check_key(key)
        query: dict[str, Any] = {"Bucket": self.bucket, "Key": self.prefix + key, "Body": data}
        # A header, not a trailer: servers that do not know it ignore it; others compare the body with it and
        # store it for readers.
        query["ChecksumCRC32"] = base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
        if content_type:
            query["ContentType"] = content_type

        versions: Versions = []

        def put() -> None:
            answer = self._client().put_object(**query, **condition)
            versions.extend(filter(_is_version, [answer.get("VersionId")]))
            condition.clear()  # the object is ours now and may be overwritten
            if self.config.verify_reads:
                check_md5(data, answer)

        self._written(key, put)
        return versions

    def _written(self, key: str, put: Callable[[], None]) -> None:
        """Put, and retry if the server receives other bytes than were sent, or if parts are lost."""
        for tried in range(_WRONG_TRIES + 1):
            try:
                return self._call("write", key, put)
            except (ArrivedDamaged, UploadGone, WrongBody) as error:
                wrong = error
            time.sleep(0.1 * 2**tried)
        if isinstance(wrong, UploadGone):
            raise wrong
        raise StorageError(f"{self._name(key)} reaches the server with other bytes than were sent: {wrong}")

    def _client(self, tries: int | None = None) -> Any:
        return client_of(self.config, tries)

    def _name(self, key: str) -> str:
        return printable(f"s3://{self.bucket}/{self.prefix}{key}")

    def _call(self, action: str, key: str, request: Callable[[], T]) -> T:
        """Send the request; translate botocore errors into ours. The client does the retries."""
        try:
            return request()
        except (aws.ClientError, aws.BotoCoreError) as error:
            raise translated(error, action, self.bucket, self._name(key)) from None


def _is_version(version: str | None) -> bool:
    return version not in (None, "null")
