"""A prefix of a Google Cloud Storage bucket as a store, using its JSON API.

The generation, a number that identifies one version of an object, serves as the ETag. A conditional write
states `ifGenerationMatch=0` (Cloud Storage documentation, "Request preconditions").
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import google.auth
import requests
from google.auth import exceptions as google_errors
from google.auth.transport.requests import AuthorizedSession
from requests.adapters import HTTPAdapter

from pipeline.config.storage import StorageConfig
from pipeline.errors import (
    AccessDenied,
    BadKey,
    ConfigError,
    CredentialsMissing,
    CredentialsRefused,
    ObjectChanged,
    ObjectMissing,
    StorageError,
)
from pipeline.storage.base import ObjectInfo, printable
from pipeline.storage.bucket_store import PART_BYTES, Body, BucketStore, PreconditionFailed, Transient

EMULATOR_VARIABLE = "STORAGE_EMULATOR_HOST"
_HOST = "https://storage.googleapis.com"
_SCOPES = ("https://www.googleapis.com/auth/devstorage.read_write",)
_FIELDS = "items(name,generation,size),nextPageToken"
_RANGE = re.compile(r"bytes \d+-\d+/(\d+)")
_BUSY = (408, 429)
_PAGE = 1000  # the most that the server gives
_ADVICE = "set GOOGLE_APPLICATION_CREDENTIALS, or run gcloud auth application-default login"
_GOES_ON = "run the same command again to continue"
_sessions: dict[tuple[StorageConfig, int], requests.Session] = {}
_sessions_lock = threading.Lock()


class GcsStore(BucketStore):
    """See `Store`. Credentials come from Google's usual places (Application Default Credentials)."""

    scheme = "gs"

    def _listed(self, start: str) -> Iterator[ObjectInfo]:
        query: dict[str, Any] = {"prefix": start, "fields": _FIELDS, "maxResults": _PAGE}
        while True:
            page = self._again(lambda: self._ask("GET", self._bucket_url(), "list", start, params=query))
            answer = page.json()
            for item in answer.get("items", ()):
                yield ObjectInfo(item["name"], item["generation"], int(item["size"]))
            if not (token := answer.get("nextPageToken")):
                return
            query["pageToken"] = token

    def _read(self, name: str, start: int, count: int | None, etag: str | None) -> Body:
        # without this header the server would decompress objects stored with Content-Encoding: gzip
        headers = {"Accept-Encoding": "gzip"}
        if start or count is not None:
            headers["Range"] = f"bytes={start}-" if count is None else f"bytes={start}-{start + count - 1}"
        query = {"alt": "media"} | ({} if etag is None else {"ifGenerationMatch": etag})
        url = self._url(name)
        with self._ask("GET", url, "read", name, params=query, headers=headers, stream=True) as got:
            if got.status_code == 416:  # a range of an empty object or after the end is invalid
                return self._nothing_of(name, etag)
            generation = got.headers["x-goog-generation"]
            if etag not in (None, generation):
                raise self._changed(name)
            try:
                data = got.raw.read(decode_content=False)
            except Exception as error:  # from urllib3, ssl or the socket
                whole, reason = self._whole(name), _one_line(error)
                raise Transient(f"the download of {whole} was interrupted: {reason}") from None
        stated = _RANGE.fullmatch(got.headers.get("content-range", ""))
        total = int(stated[1]) if stated else int(got.headers.get("content-length", len(data)))
        return Body(data, generation, total, got.headers.get("content-type"), _md5_of(got))

    def _nothing_of(self, name: str, etag: str | None) -> Body:
        about = self._ask("GET", self._url(name), "read", name).json()
        if etag not in (None, about["generation"]):
            raise self._changed(name)
        md5 = base64.b64decode(about["md5Hash"]).hex() if "md5Hash" in about else None
        return Body(b"", about["generation"], int(about["size"]), about.get("contentType"), md5)

    def _changed(self, name: str) -> ObjectChanged:
        return ObjectChanged(f"{self._whole(name)} is not the requested version")

    def _write(self, name: str, data: bytes, content_type: str | None, absent: bool) -> None:
        about = self._about(name, content_type, hashlib.md5(data, usedforsecurity=False).digest())
        boundary = uuid4().hex
        kind = about.get("contentType", "application/octet-stream")
        head = f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{json.dumps(about)}\r\n"
        head += f"--{boundary}\r\nContent-Type: {kind}\r\n\r\n"
        query = {"uploadType": "multipart", "name": name} | ({"ifGenerationMatch": "0"} if absent else {})
        headers = {"Content-Type": f"multipart/related; boundary={boundary}"}
        body = head.encode() + data + f"\r\n--{boundary}--\r\n".encode()
        self._ask("POST", self._upload_url(), "write", name, params=query, headers=headers, data=body)

    def _write_file(self, name: str, path: Path, content_type: str | None) -> None:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
        place, total = self._begin_upload(name, self._about(name, content_type, digest)), path.stat().st_size
        with path.open("rb") as file:
            for start in range(0, total, PART_BYTES):
                part = file.read(PART_BYTES)
                headers = {"Content-Range": f"bytes {start}-{start + len(part) - 1}/{total}"}
                self._ask("PUT", place, "write", name, headers=headers, data=part)

    def _begin_upload(self, name: str, about: dict[str, str]) -> str:
        query = {"uploadType": "resumable", "name": name}
        return self._ask("POST", self._upload_url(), "write", name, params=query, json=about).headers[
            "location"
        ]

    def _about(self, name: str, content_type: str | None, md5: bytes) -> dict[str, str]:
        about = {"name": name, "md5Hash": base64.b64encode(md5).decode()}
        return about | ({"contentType": content_type} if content_type else {})

    def _is_archived(self, name: str) -> bool:
        """False: objects of all classes can be read, those of the archive class for a fee."""
        self._ask("GET", self._url(name), "read", name, params={"fields": "name"})
        return False

    def _remove(self, name: str) -> None:
        self._ask("DELETE", self._url(name), "delete", name)

    def _ask_to_list(self) -> None:
        query: dict[str, Any] = {"prefix": self.prefix, "maxResults": 1, "fields": _FIELDS}
        self._ask("GET", self._bucket_url(), "list", self.prefix, params=query)

    def _ask_to_write(self, name: str) -> None:
        place = self._begin_upload(name, {"name": name})
        with suppress(StorageError):  # an upload that is not cancelled expires after a week
            self._ask("DELETE", place, "write", name)

    def _bucket_url(self) -> str:
        return f"{_host()}/storage/v1/b/{self.bucket}/o"

    def _upload_url(self) -> str:
        return f"{_host()}/upload/storage/v1/b/{self.bucket}/o"

    def _url(self, name: str) -> str:
        return f"{self._bucket_url()}/{quote(name, safe='')}"

    def _whole(self, name: str) -> str:
        return printable(f"gs://{self.bucket}/{name}")

    def _ask(self, method: str, url: str, action: str, name: str, **how: Any) -> requests.Response:
        """Send one request and return the answer; translate errors into ours."""
        timeout, whole = (self.config.connect_seconds, self.config.read_seconds), self._whole(name)
        try:
            answer = _session(self.config).request(
                method, url, timeout=timeout, allow_redirects=False, verify=self.config.verify_tls, **how
            )
        except google_errors.RefreshError as error:
            raise CredentialsRefused(
                f"Google refuses the credentials for {whole}: {_one_line(error)}; renew them; {_GOES_ON}"
            ) from None
        except (requests.RequestException, google_errors.TransportError) as error:
            raise Transient(
                f"cannot reach Google Cloud Storage for {whole}: {_one_line(error)}; check the network, and "
                "run the same command again"
            ) from None
        if answer.status_code < 300 or answer.status_code in (308, 416):  # 308: a part of an upload
            return answer
        raise self._refused(answer, action, name)

    def _refused(self, answer: requests.Response, action: str, name: str) -> StorageError | ConfigError:
        status, whole = answer.status_code, self._whole(name)
        try:
            said = " ".join(str(answer.json()["error"]["message"]).split())
        except (ValueError, KeyError, TypeError):
            said = " ".join(answer.text.split())[:200]
        if status == 404 and (action == "list" or "bucket does not exist" in said or action == "write"):
            return ConfigError(f"there is no bucket {self.bucket!r}; check its name, or create it")
        if status == 404:
            return ObjectMissing(f"{whole} does not exist")
        if status == 412:
            return self._changed(name) if action == "read" else PreconditionFailed(f"{whole} already exists")
        if status == 401:
            return CredentialsRefused(f"Google refuses the credentials for {whole} ({said}): {_ADVICE}")
        if status == 403:
            return AccessDenied(f"not allowed to {action} {whole} ({said}); check the credentials and roles")
        if status == 400 and "name" in said.lower():
            return BadKey(f"{whole[:80]}... cannot be a key on this server ({said})")
        text = f"cannot {action} {whole}: {said} (HTTP {status})"
        return Transient(text) if status in _BUSY or status >= 500 else StorageError(text)


def _host() -> str:
    """The address of the API; `STORAGE_EMULATOR_HOST` overrides it, as for Google's own libraries."""
    stated = os.environ.get(EMULATOR_VARIABLE, "").rstrip("/")
    if not stated:
        return _HOST
    return stated if "://" in stated else f"http://{stated}"


def _session(config: StorageConfig) -> requests.Session:
    slot = (config, os.getpid())  # a forked child must not share its parent's sockets
    with _sessions_lock:
        if slot not in _sessions:
            _sessions[slot] = _make_session(config)
        return _sessions[slot]


def _make_session(config: StorageConfig) -> requests.Session:
    session = requests.Session() if os.environ.get(EMULATOR_VARIABLE) else _authorized()
    adapter = HTTPAdapter(pool_connections=config.pool, pool_maxsize=config.pool)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _authorized() -> requests.Session:
    try:
        credentials, _ = google.auth.default(scopes=_SCOPES)
    except google_errors.DefaultCredentialsError as error:
        raise CredentialsMissing(f"no credentials for Google Cloud: {_one_line(error)}; {_ADVICE}") from None
    session: requests.Session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
    return session


def _md5_of(answer: requests.Response) -> str | None:
    """The MD5 of the whole object in hex; composed objects have none."""
    for one in answer.headers.get("x-goog-hash", "").split(","):
        name, _, value = one.strip().partition("=")
        if name == "md5":
            return base64.b64decode(value).hex()
    return None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".")[:300] or type(error).__name__
