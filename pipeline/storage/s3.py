"""A bucket prefix as a store, on AWS or any S3 server, through boto3."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import boto3
import botocore.config
import urllib3.exceptions
from boto3.s3.transfer import TransferConfig
from botocore import exceptions as aws

from pipeline.config.storage import StorageConfig
from pipeline.errors import (
    AccessDenied,
    AlreadyExists,
    BadKey,
    ConfigError,
    ObjectArchived,
    ObjectChanged,
    ObjectMissing,
    StorageError,
)
from pipeline.storage.base import Fetched, ObjectInfo, check_key, printable
from pipeline.storage.s3_listing import list_sorted

T = TypeVar("T")

#: Tries of an up-front check: a mistyped endpoint should cost seconds, not the full patience of a run.
_CHECK_TRIES = 2
#: Seconds before each new try after 409: a rival put was under way, and it may yet fail or win.
_CONFLICT_PAUSES = (0.1, 0.3, 1.0, 3.0, 0.0)
#: Of files: a part is what a retry repeats; two of them are in memory at a time.
_UPLOAD = TransferConfig(
    multipart_threshold=16 * 2**20, multipart_chunksize=16 * 2**20, max_concurrency=2, use_threads=True
)
#: Asks the listing which archived objects are restored. Servers that do not know it leave it out of their
#: answer; directory buckets (S3 Express), which archive nothing, do not support it.
_RESTORE_STATUS = {"OptionalObjectAttributes": ["RestoreStatus"]}
_DIRECTORY_BUCKET = "--x-s3"
_clients: dict[tuple[StorageConfig, int, int], Any] = {}
_clients_lock = threading.Lock()


class S3Store:
    """See `Store`. Holds no connection, so it pickles; every process makes one client per configuration."""

    def __init__(self, bucket: str, prefix: str, config: StorageConfig) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        self.config = config

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """As in `Store`; prefixes are listed in parallel, memory is bounded by the pages in flight."""
        client, cut = self._client(), len(self.prefix)
        optional = {} if self.bucket.endswith(_DIRECTORY_BUCKET) else _RESTORE_STATUS

        def page(**query: Any) -> Any:
            return self._call(
                "list", prefix, lambda: client.list_objects_v2(Bucket=self.bucket, **optional, **query)
            )

        for info in list_sorted(page, self.prefix + prefix):
            if info.key != self.prefix:  # the marker of the root folder itself is not below it
                yield info._replace(key=info.key[cut:])

    def get(
        self, key: str, *, if_etag: str | None = None, start: int = 0, max_bytes: int | None = None
    ) -> Fetched:
        query: dict[str, Any] = {"Bucket": self.bucket, "Key": self.prefix + key}
        if if_etag is not None:
            query["IfMatch"] = f'"{if_etag}"'
        if start or max_bytes is not None:
            end = "" if max_bytes is None else start + max(max_bytes, 1) - 1
            query["Range"] = f"bytes={start}-{end}"
        for tried in range(self.config.retries + 1):
            try:
                return self._call("read", key, lambda: _fetch(self._client(), query))
            except _BrokenBody as error:
                broken = error
                time.sleep(min(5.0, 0.1 * 2**tried))
        raise StorageError(f"the download of {self._name(key)} broke off: {broken}")

    def put(self, key: str, data: bytes, content_type: str | None = None) -> None:
        self._put(key, data, content_type)

    def put_file(self, key: str, path: Path, content_type: str | None = None) -> None:
        check_key(key)
        extra = {"ContentType": content_type} if content_type else None
        with path.open("rb") as file:
            self._call(
                "write",
                key,
                lambda: self._client().upload_fileobj(
                    file, self.bucket, self.prefix + key, ExtraArgs=extra, Config=_UPLOAD
                ),
            )

    def put_if_absent(self, key: str, data: bytes, content_type: str | None = None) -> None:
        for pause in _CONFLICT_PAUSES:
            try:
                return self._put(key, data, content_type, IfNoneMatch="*")
            except ObjectChanged:
                raise AlreadyExists(f"{self._name(key)} already exists") from None
            except _Conflict:
                time.sleep(pause)
        raise AlreadyExists(f"{self._name(key)} is being written by another attempt")

    def exists(self, key: str) -> bool:
        query = {"Bucket": self.bucket, "Key": self.prefix + key}
        try:
            self._call("read", key, lambda: self._client().head_object(**query))
        except ObjectMissing:
            return False
        return True

    def delete(self, key: str) -> None:
        query = {"Bucket": self.bucket, "Key": self.prefix + key}
        self._call("delete", key, lambda: self._client().delete_object(**query))

    def drop_empty_folders(self, folder: str) -> None:
        """Nothing to do: a prefix without objects is not there."""

    def comparable(self, key: str) -> str:
        return key

    def check_readable(self) -> None:
        client = self._client(_CHECK_TRIES)
        query: dict[str, Any] = {"Bucket": self.bucket, "Prefix": self.prefix, "MaxKeys": 1}
        self._call("list", "", lambda: client.list_objects_v2(**query))

    def check_writable(self) -> None:
        """An upload that is begun and given up asks for the right to put, and leaves no object behind."""
        client = self._client(_CHECK_TRIES)
        query: dict[str, Any] = {"Bucket": self.bucket, "Key": f"{self.prefix}write-check"}
        begun = self._call("write to", "", lambda: client.create_multipart_upload(**query))
        self._call("write to", "", lambda: client.abort_multipart_upload(**query, UploadId=begun["UploadId"]))

    def _put(self, key: str, data: bytes, content_type: str | None, **condition: Any) -> None:
        check_key(key)
        query: dict[str, Any] = {"Bucket": self.bucket, "Key": self.prefix + key, "Body": data, **condition}
        if content_type:
            query["ContentType"] = content_type
        self._call("write", key, lambda: self._client().put_object(**query))

    def _client(self, tries: int | None = None) -> Any:
        tries = tries or self.config.retries + 1
        slot = (self.config, tries, os.getpid())  # a forked child must not share its parent's sockets
        with _clients_lock:
            if slot not in _clients:
                _clients[slot] = _make_client(self.config, tries)
            return _clients[slot]

    def _name(self, key: str) -> str:
        return printable(f"s3://{self.bucket}/{self.prefix}{key}")

    def _call(self, action: str, key: str, request: Callable[[], T]) -> T:
        """The request's answer; every botocore error as one of ours. Retries are the client's business."""
        try:
            return request()
        except aws.ClientError as error:
            raise self._refused(error, action, key) from None
        except (aws.NoCredentialsError, aws.PartialCredentialsError, aws.CredentialRetrievalError) as error:
            raise AccessDenied(
                f"cannot {action} {self._name(key)}: {_sentence(error)}; "
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE or an instance role"
            ) from None
        except aws.ParamValidationError as error:
            raise BadKey(f"cannot {action} {self._name(key)}: {_sentence(error)}") from None
        except (aws.ConnectionError, aws.HTTPClientError) as error:
            raise StorageError(
                f"cannot reach the S3 server for {self._name(key)}: {_sentence(error)}; "
                "check storage.endpoint and the network"
            ) from None
        except aws.BotoCoreError as error:
            raise StorageError(f"cannot {action} {self._name(key)}: {_sentence(error)}") from None

    def _refused(self, error: aws.ClientError, action: str, key: str) -> StorageError | ConfigError:
        """The server's refusal in the user's words."""
        answer = error.response.get("Error", {})
        code = str(answer.get("Code", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        name = self._name(key)
        if code == "NoSuchBucket":
            return ConfigError(
                f"there is no bucket {self.bucket!r}; check its name and the endpoint, or create it"
            )
        if status == 412:
            return ObjectChanged(f"{name} is not the version that was asked for")
        if status == 409:
            return _Conflict(f"another request is changing {name} ({code})")
        if status == 404:
            return ObjectMissing(f"{name} does not exist")
        if code == "InvalidObjectState":
            return ObjectArchived(f"{name} is archived in a Glacier class and cannot be read; restore it")
        if status in (401, 403):
            return AccessDenied(f"not allowed to {action} {name} ({code}); check the credentials and policy")
        if status == 301 or code in ("AuthorizationHeaderMalformed", "IllegalLocationConstraintException"):
            return ConfigError(f"the bucket {self.bucket!r} is elsewhere ({code}); set storage.region")
        if code in ("KeyTooLongError", "InvalidObjectName", "InvalidURI"):
            return BadKey(f"{name[:80]}... cannot be a key on this server ({code})")
        return StorageError(f"cannot {action} {name}: {code} {answer.get('Message') or ''} (HTTP {status})")


class _Conflict(StorageError):
    """409: neither done nor refused for good; a conditional put asks again."""


class _BrokenBody(Exception):
    """The answer began well and then broke off; botocore retries only what fails before that."""


def _fetch(client: Any, query: dict[str, Any]) -> Fetched:
    try:
        answer = client.get_object(**query)
    except aws.ClientError as error:
        # no range of an empty object, nor one that starts behind the end, can be satisfied
        if error.response.get("Error", {}).get("Code") != "InvalidRange":
            raise
        head = client.head_object(**{k: v for k, v in query.items() if k != "Range"})
        return Fetched(b"", head["ETag"].strip('"'), head.get("ContentType"))
    try:
        data = answer["Body"].read()
    except (aws.BotoCoreError, urllib3.exceptions.HTTPError, OSError) as error:
        raise _BrokenBody(_sentence(error)) from None
    return Fetched(data, answer["ETag"].strip('"'), answer.get("ContentType"))


def _make_client(config: StorageConfig, tries: int) -> Any:
    """Adaptive mode retries throttling, 5xx and lost connections, and slows down when throttled.

    It never retries a refusal such as access denied.
    """
    settings = botocore.config.Config(
        max_pool_connections=config.pool,
        connect_timeout=config.connect_seconds,
        read_timeout=config.read_seconds,
        retries={"mode": "adaptive", "total_max_attempts": tries},
        request_checksum_calculation=config.checksums,
        response_checksum_validation=config.checksums,
        s3={"addressing_style": config.addressing},
        tcp_keepalive=True,
    )
    try:
        client = boto3.session.Session().client(
            "s3",
            endpoint_url=config.endpoint,
            region_name=config.region,
            verify=None if config.verify_tls else False,
            config=settings,
        )
    except (aws.BotoCoreError, ValueError) as error:
        raise ConfigError(f"cannot set up S3 access: {_sentence(error)}") from None
    if config.request_payer:
        client.meta.events.register("before-parameter-build.s3", _pay)
    return client


def _pay(params: dict[str, Any], model: Any, **_: Any) -> None:
    """Agree to be charged, in each request that can say so."""
    if "RequestPayer" in model.input_shape.members:
        params.setdefault("RequestPayer", "requester")


def _sentence(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
