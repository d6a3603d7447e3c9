"""What is specific to S3: retries, refusals, listing by pages and prefixes, client settings."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipeline.config.storage import StorageConfig
from pipeline.errors import AccessDenied, AlreadyExists, ConfigError, CredentialsRefused, StorageError
from pipeline.storage import open_store
from pipeline.storage.s3_listing import list_sorted

pytestmark = pytest.mark.usefixtures("short_pauses")

OK, BUSY, DENIED, CONFLICT, EXISTS = (
    (200, ""),
    (503, "SlowDown"),
    (403, "AccessDenied"),
    (409, "ConditionalRequestConflict"),
    (412, "PreconditionFailed"),
)
#: Announces ten bytes and sends five.
CUT = (200, "cut")


@contextmanager
def scripted(*answers: tuple[int, str]) -> Iterator[tuple[StorageConfig, list[str]]]:
    """A loopback server that gives one answer after the other, the last for ever; and the requests it saw."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, code = answers[min(len(seen), len(answers) - 1)]
            seen.append(f"{self.command} {self.path}")
            body = f"<Error><Code>{code}</Code></Error>".encode()
            if status == 200:
                body = b"0123456789" if self.command == "GET" else b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", '"e"')
            self.end_headers()
            self.wfile.write(body[:5] if code == "cut" else body)
            self.close_connection = code == "cut"

        do_GET = do_PUT = answer

        def log_message(self, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        yield StorageConfig(endpoint=endpoint, addressing="path", read_seconds=5), seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def credentials(aws_credentials):
    """Every store here asks for them."""


@pytest.mark.server
def test_a_busy_server_is_asked_again():
    with scripted(BUSY, BUSY, OK) as (config, seen):
        assert open_store("s3://bucket", config).get("a").data == b"0123456789"
    assert len(seen) == 3


@pytest.mark.server
def test_a_put_to_a_busy_server_is_tried_again():
    with scripted(BUSY, OK) as (config, seen):
        open_store("s3://bucket", config).put("a", b"1")
    assert seen == ["PUT /bucket/a"] * 2


@pytest.mark.server
def test_an_answer_that_breaks_off_is_asked_for_again():
    with scripted(CUT, CUT, OK) as (config, seen):
        assert open_store("s3://bucket", config).get("a").data == b"0123456789"
    assert len(seen) == 3


@pytest.mark.server
def test_patience_ends():
    with scripted(BUSY) as (config, seen):
        store = open_store("s3://bucket", config.model_copy(update={"retries": 1}))
        with pytest.raises(StorageError, match="SlowDown"):
            store.get("a")
    assert len(seen) == 2
    with scripted(CUT) as (config, seen):
        store = open_store("s3://bucket", config.model_copy(update={"retries": 1}))
        with pytest.raises(StorageError, match="was interrupted"):
            store.get("a")
    assert len(seen) == 2


@pytest.mark.server
def test_a_refusal_is_asked_once():
    with scripted(DENIED) as (config, seen):
        store = open_store("s3://bucket", config)
        for call in (lambda: store.get("a"), lambda: store.put("a", b"1"), store.check_readable):
            seen.clear()
            with pytest.raises(AccessDenied, match="AccessDenied"):
                call()
            assert len(seen) == 1


@pytest.mark.server
def test_a_conflict_is_asked_again_until_there_is_a_winner():
    with scripted(CONFLICT, CONFLICT, EXISTS) as (config, seen):
        with pytest.raises(AlreadyExists):
            open_store("s3://bucket", config).put_if_absent("part", b"1")
        assert len(seen) == 3
    with scripted(CONFLICT, OK) as (config, seen):
        open_store("s3://bucket", config).put_if_absent("part", b"1")  # the rival failed, this one won
        assert len(seen) == 2


def test_wrong_credentials_are_named(s3_ceph, monkeypatch):
    store = open_store(f"s3://{s3_ceph.bucket()}", s3_ceph.storage_config.model_copy(update={"retries": 3}))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(CredentialsRefused, match="SignatureDoesNotMatch"):
        store.check_readable()
    with pytest.raises(CredentialsRefused, match="SignatureDoesNotMatch"):
        store.check_writable()


@pytest.mark.server
def test_missing_credentials_are_named(monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with scripted(OK) as (config, seen):
        with pytest.raises(CredentialsRefused, match="AWS_ACCESS_KEY_ID"):
            open_store("s3://bucket", config).check_readable()
        assert seen == []


@pytest.mark.server
def test_an_endpoint_where_nothing_listens_is_told_in_seconds():
    with scripted(OK) as (config, _):
        pass  # its port is free again
    started = time.monotonic()
    with pytest.raises(StorageError, match=r"storage\.endpoint"):
        open_store("s3://bucket", config).check_readable()
    assert time.monotonic() - started < 20


def test_an_endpoint_that_is_no_url_is_a_configuration_error():
    with pytest.raises(ConfigError, match="localhost"):
        open_store("s3://bucket", StorageConfig(endpoint="localhost:9000")).check_readable()


def test_endpoint_from_the_environment(s3_moto, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_moto.endpoint)
    open_store(f"s3://{s3_moto.bucket()}", StorageConfig(connect_seconds=7)).check_readable()


LAYOUTS = {
    "flat": [f"{i:03d}.jpg" for i in range(40)],
    "one folder": [f"photos/{i:03d}.jpg" for i in range(40)],
    "nested": [f"{year}/{box}/{i}.jpg" for year in range(12) for box in "ab" for i in range(2)],
    "mixed": ["a", "a-b", "a.jpg", "a/1", "a/2/3", "a/2/4", "a0", "b//c", "b/c", "c/"],
    "many folders": [f"{i:03d}/full.jpg" for i in range(110)],
}


@pytest.mark.parametrize("kind", ["moto", "ceph"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_pages_and_prefixes_are_strung_together_in_order(kind, layout, request):
    server = request.getfixturevalue(f"s3_{kind}")
    bucket = server.bucket()
    for key in LAYOUTS[layout]:
        server.client.put_object(Bucket=bucket, Key=key, Body=b"")
    for size in (3, 1000):
        # small pages: a folder's first page is cut off, so it is listed flat and page by page

        def page(**query):
            return server.client.list_objects_v2(Bucket=bucket, MaxKeys=size, **query)  # noqa: B023

        assert [result.key for result in list_sorted(page, "")] == sorted(LAYOUTS[layout])


def test_an_error_on_a_later_page_is_raised_not_swallowed(s3_moto):
    asked = []

    def page(**query):
        asked.append(query)
        if len(asked) == 4:
            raise StorageError("the network went away")
        return s3_moto.client.list_objects_v2(Bucket=bucket, MaxKeys=2, **query)

    bucket = s3_moto.bucket()
    for i in range(20):
        s3_moto.client.put_object(Bucket=bucket, Key=f"{i:02d}", Body=b"")
    listing = list_sorted(page, "")
    with pytest.raises(StorageError, match="went away"):
        list(listing)


def test_a_listing_that_is_given_up_leaves_no_threads(s3_moto):
    bucket = s3_moto.bucket()
    for key in LAYOUTS["nested"]:
        s3_moto.client.put_object(Bucket=bucket, Key=key, Body=b"")
    listing = open_store(f"s3://{bucket}", s3_moto.storage_config).list()
    next(listing)
    listing.close()
    deadline = time.monotonic() + 10
    while any(thread.name.startswith("list ") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
