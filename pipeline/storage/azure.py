"""A prefix of an Azure Blob Storage container as a store, using Microsoft's azure-storage-blob.

A conditional write states `If-None-Match: *` (Blob service REST API, "Put Blob"). A blob of several parts
appears in one step, when its list of parts is written.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from azure.core import MatchConditions
from azure.core import exceptions as azure_errors
from azure.storage.blob import BlobBlock, ContainerClient, ContentSettings

from pipeline.config.storage import StorageConfig
from pipeline.errors import (
    AccessDenied,
    BadKey,
    ConfigError,
    CredentialsMissing,
    CredentialsRefused,
    ObjectArchived,
    ObjectChanged,
    ObjectMissing,
    StorageError,
)
from pipeline.storage.base import ObjectInfo, printable
from pipeline.storage.bucket_store import PART_BYTES, Body, BucketStore, PreconditionFailed, Transient

CONNECTION, ACCOUNT = "AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT"
KEY, SAS = "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN"
"""These four: the variables of the program `az`."""
_ADVICE = f"set {CONNECTION}, or {ACCOUNT} and log in with az login or a managed identity"
_ARCHIVE = "Archive"
_HIGH = re.compile("[\ue000-\U0010ffff]")
_BUSY = (408, 429)
_PAGE = 5000  # the most that the server gives
_GOES_ON = "run the same command again to continue"
_clients: dict[tuple[str, StorageConfig, int], ContainerClient] = {}
_clients_lock = threading.Lock()


class AzureStore(BucketStore):
    """See `Store`. The bucket is a container of the account named by the environment."""

    scheme = "az"

    def _listed(self, start: str) -> Iterator[ObjectInfo]:
        """List in code point order, although the service may sort by UTF-16, which orders the characters from
        U+E000 on differently. In both orders all of these come after all other characters."""
        group: list[ObjectInfo] = []
        before: str | None = None  # the common part of the group before the first such character
        for info in self._blobs(start):
            if group and before != _before_high(info.key):
                yield from sorted(group)
                group = []
            before = _before_high(info.key)
            if before is None:
                yield info
            else:
                group.append(info)
        yield from sorted(group)

    def _blobs(self, start: str) -> Iterator[ObjectInfo]:
        token: str | None = None
        while True:
            blobs, token = self._again(lambda token=token: self._page(start, token, _PAGE))  # type: ignore[misc]
            for blob in blobs:
                yield ObjectInfo(blob.name, blob.etag.strip('"'), blob.size, blob.blob_tier == _ARCHIVE)
            if not token:
                return

    def _page(self, start: str, token: str | None, most: int) -> tuple[list[Any], str | None]:
        with self._explained("list", start):
            listing = self._client().list_blobs(name_starts_with=start or None, results_per_page=most)
            pages: Any = listing.by_page(continuation_token=token)
            return list(next(pages, ())), pages.continuation_token

    def _read(self, name: str, start: int, count: int | None, etag: str | None) -> Body:
        blob, condition = self._client().get_blob_client(name), _only(etag)
        with self._explained("read", name):
            try:
                if start or count is not None:
                    # the service needs ranges with an end
                    end = (
                        count
                        if count is not None
                        else max(1, blob.get_blob_properties(**condition).size - start)
                    )
                    got = blob.download_blob(start, end, max_concurrency=1, **condition)
                else:
                    got = blob.download_blob(max_concurrency=1, **condition)
                data, about = got.readall(), got.properties
            except azure_errors.HttpResponseError as error:
                # a range of an empty blob or after the end is invalid
                if error.status_code != 416:
                    raise
                data, about = b"", blob.get_blob_properties(**condition)
        settings = about.content_settings
        md5 = bytes(settings.content_md5).hex() if settings.content_md5 else None
        stated = getattr(about, "content_range", None)  # for a range, `size` is the size of the range
        total = int(stated.rpartition("/")[2]) if stated else about.size
        return Body(data, about.etag.strip('"'), total, settings.content_type, md5)

    def _check_name(self, name: str) -> None:
        if "\\" in name:
            raise BadKey(f"{self._whole(name)} cannot be a key: Azure treats a backslash as a slash")

    def _write(self, name: str, data: bytes, content_type: str | None, absent: bool) -> None:
        self._check_name(name)
        settings = _settings(content_type, hashlib.md5(data, usedforsecurity=False).digest())
        with self._explained("write", name):
            self._client().get_blob_client(name).upload_blob(
                data, length=len(data), overwrite=not absent, content_settings=settings, validate_content=True
            )

    def _write_file(self, name: str, path: Path, content_type: str | None) -> None:
        self._check_name(name)
        blob, parts = self._client().get_blob_client(name), list[BlobBlock]()
        digest = hashlib.md5(usedforsecurity=False)
        with path.open("rb") as file, self._explained("write", name):
            while part := file.read(PART_BYTES):
                parts.append(BlobBlock(f"{len(parts):032d}"))
                digest.update(part)
                blob.stage_block(parts[-1].id, part, length=len(part), validate_content=True)
            blob.commit_block_list(parts, content_settings=_settings(content_type, digest.digest()))

    def _is_archived(self, name: str) -> bool:
        with self._explained("read", name):
            return self._client().get_blob_client(name).get_blob_properties().blob_tier == _ARCHIVE

    def _remove(self, name: str) -> None:
        with self._explained("delete", name):
            self._client().get_blob_client(name).delete_blob()

    def _ask_to_list(self) -> None:
        self._page(self.prefix, None, 1)

    def _ask_to_write(self, name: str) -> None:
        """Upload a block that is never committed: no blob appears, and Azure discards it after a week."""
        with self._explained("write to", name):
            self._client().get_blob_client(name).stage_block(f"{0:032d}", b"?", length=1)

    def _client(self) -> ContainerClient:
        slot = (self.bucket, self.config, os.getpid())  # a forked child must not share its parent's sockets
        with _clients_lock:
            if slot not in _clients:
                _clients[slot] = _make_client(self.bucket, self.config)
            return _clients[slot]

    def _whole(self, name: str) -> str:
        return printable(f"az://{self.bucket}/{name}")

    @contextmanager
    def _explained(self, action: str, name: str) -> Iterator[None]:
        """Translate errors of Azure's library in the block into ours."""
        try:
            yield
        except azure_errors.HttpResponseError as error:
            if error.status_code is None:  # no answer, or an incomplete one
                raise self._unreachable(error, name) from None
            raise self._refused(error, action, name) from None
        except azure_errors.ClientAuthenticationError as error:  # without a status: no token was obtained
            raise CredentialsMissing(f"no credentials for Azure: {_one_line(error)}; {_ADVICE}") from None
        except azure_errors.AzureError as error:
            raise self._unreachable(error, name) from None
        except ValueError as error:
            raise BadKey(f"cannot {action} {self._whole(name)}: {_one_line(error)}") from None

    def _unreachable(self, error: Exception, name: str) -> Transient:
        return Transient(
            f"cannot reach Azure for {self._whole(name)}: {_one_line(error)}; check the account name and "
            "the network, and run the same command again"
        )

    def _refused(self, error: Any, action: str, name: str) -> StorageError | ConfigError:
        status, code, whole = error.status_code, str(error.error_code or error.reason), self._whole(name)
        if code in ("ContainerNotFound", "ContainerBeingDeleted"):
            return ConfigError(f"there is no container {self.bucket!r}; check its name, or create it")
        if code in ("BlobArchived", "BlobBeingRehydrated"):
            return ObjectArchived(f"{whole} is archived and cannot be read; set its tier to Hot first")
        if code == "BlobAlreadyExists":
            return PreconditionFailed(f"{whole} already exists")
        if status == 412 or (status == 304 and action == "read"):
            return ObjectChanged(f"{whole} is not the requested version")
        if status == 404:
            return ObjectMissing(f"{whole} does not exist")
        if status == 401 or code in ("AuthenticationFailed", "InvalidAuthenticationInfo"):
            return CredentialsRefused(
                f"Azure refuses the credentials for {whole} ({code}): renew them, or {_ADVICE}; {_GOES_ON}"
            )
        if status == 403:
            return AccessDenied(f"not allowed to {action} {whole} ({code}); check the credentials and roles")
        if code in ("InvalidResourceName", "InvalidUri", "OutOfRangeInput"):
            return BadKey(f"{whole[:80]}... cannot be a key on this server ({code})")
        text = f"cannot {action} {whole}: {code} (HTTP {status})"
        return Transient(text) if status in _BUSY or status >= 500 else StorageError(text)


def _before_high(name: str) -> str | None:
    """The text before the first character from U+E000 on; None if there is none."""
    high = _HIGH.search(name)
    return None if high is None else name[: high.start()]


def _only(etag: str | None) -> dict[str, Any]:
    """The condition that the blob has this version."""
    if etag is None:
        return {}
    return {"etag": f'"{etag}"', "match_condition": MatchConditions.IfNotModified}


def _settings(content_type: str | None, md5: bytes) -> ContentSettings:
    return ContentSettings(content_type=content_type, content_md5=bytearray(md5))


def _make_client(container: str, config: StorageConfig) -> ContainerClient:
    """Make a client for single requests; `BucketStore` retries them.

    Raises:
        CredentialsMissing: the environment names no account. ConfigError: what it names cannot be used.
    """
    how: dict[str, Any] = {
        "retry_total": 0, "connection_timeout": config.connect_seconds, "read_timeout": config.read_seconds,
        "connection_verify": config.verify_tls, "max_single_put_size": 2**62,
        "max_single_get_size": 2**62,
    }  # fmt: skip
    try:
        if text := os.environ.get(CONNECTION):
            return ContainerClient.from_connection_string(text, container, **how)
        if not (account := os.environ.get(ACCOUNT)):
            raise CredentialsMissing(f"no account is configured for az://{container}: {_ADVICE}")
        place = f"https://{account}.blob.core.windows.net"
        return ContainerClient(place, container, credential=_credential(), **how)
    except ValueError as error:
        raise ConfigError(f"cannot set up access to Azure: {_one_line(error)}") from None


def _credential() -> Any:
    """A key or SAS token; otherwise the credentials of az login or a managed identity."""
    if stated := os.environ.get(KEY) or os.environ.get(SAS, "").lstrip("?"):
        return stated
    from azure.identity import DefaultAzureCredential  # a second long import

    return DefaultAzureCredential()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".")[:300] or type(error).__name__
