"""The requests that an S3 server gets, and the messages for its refusals, with a server that only listens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError, ObjectArchived
from pipeline.storage.local import LocalStore
from pipeline.storage.s3 import S3Store

_LISTED = b"<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>"
_ARCHIVED = (
    b"<Error><Code>InvalidObjectState</Code><Message>not valid for the storage class</Message></Error>"
)


class _Listener(BaseHTTPRequestHandler):
    seen: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self._answer(403, _ARCHIVED) if "frozen" in self.path else self._answer(200, _LISTED)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(200, b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.seen.append((self.command, self.headers.get("x-amz-request-payer")))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"0"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    seen: list[tuple[str, str | None]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Listener,), {"seen": seen}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    thread.join()
    server.server_close()


def _store(endpoint: str, *, pays: bool) -> S3Store:
    config = StorageConfig(
        endpoint=endpoint, region="us-east-1", addressing="path", retries=0, request_payer=pays
    )
    return S3Store("b", "p", config)


@pytest.mark.server
@pytest.mark.parametrize("pays", [False, True])
def test_every_request_agrees_to_pay_where_that_is_set(
    listener: tuple[str, list[tuple[str, str | None]]], pays: bool
) -> None:
    endpoint, seen = listener
    store = _store(endpoint, pays=pays)
    assert list(store.list()) == []
    store.get("a.tif")
    store.put("a.jpg", b"x")
    assert {method for method, _ in seen} == {"GET", "PUT"}
    assert {payer for _, payer in seen} == {"requester" if pays else None}


@pytest.mark.server
def test_an_archived_object_gets_the_advice_to_restore_it(
    listener: tuple[str, list[tuple[str, str | None]]],
) -> None:
    with pytest.raises(ObjectArchived, match="Glacier class and cannot be read; restore it"):
        _store(listener[0], pays=False).get("frozen.tif")


def test_a_folder_in_the_unpacked_working_directory_of_a_job_is_refused(tmp_path: Path) -> None:
    unpacked = tmp_path / "session_1" / "runtime_resources" / "working_dir_files" / "_ray_pkg_0" / "scans"
    unpacked.mkdir(parents=True)
    for check in (LocalStore(unpacked).check_readable, LocalStore(unpacked).check_writable):
        with pytest.raises(ConfigError, match="working directory, which Ray has unpacked"):
            check()
    LocalStore(tmp_path).check_readable()
