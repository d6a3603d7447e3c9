"""The served gallery: it lets one browser in, takes its decisions, and refuses everybody else."""

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pipeline.config.storage import StorageConfig
from pipeline.review.cards import read_cards
from pipeline.review.decisions import read_decisions
from pipeline.review.gallery import write_gallery
from pipeline.review.server import ReviewServer
from pipeline.review.thumbnails import make_thumbnails
from pipeline.storage import Store, open_store
from tests.support.gallery_samples import HOSTILE, sample_output

pytestmark = pytest.mark.server


class Browser:
    """Requests as a browser sends them, from the gallery's own page."""

    def __init__(self, server: ReviewServer) -> None:
        self.server, self.cookie = server, ""
        self.path = server.address.removeprefix(f"http://{server.host}")

    def ask(self, path: str, body: Any = None, **headers: str | None) -> tuple[int, bytes, dict[str, str]]:
        port = self.server.server_address[1]
        own = {"Host": self.server.host, "Cookie": self.cookie}
        if body is not None:
            own |= {"Origin": f"http://{self.server.host}", "Content-Type": "application/json"}
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
        own |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            sent = {name: value for name, value in own.items() if value is not None}
            connection.request("GET" if body is None else "POST", path, body, sent)
            answer = connection.getresponse()
            return answer.status, answer.read(), dict(answer.getheaders())
        finally:
            connection.close()

    def enter(self) -> None:
        status, _, headers = self.ask(self.path)
        assert (status, headers["Location"]) == (303, "/gallery/index.html")
        self.cookie = headers["Set-Cookie"].partition(";")[0]


@pytest.fixture
def out(tmp_path: Path) -> Store:
    return sample_output(tmp_path)[1]


@pytest.fixture
def browser(tmp_path: Path, out: Store) -> Iterator[Browser]:
    source, cards = open_store(str(tmp_path / "in"), StorageConfig()), read_cards(out)
    write_gallery(out, cards, make_thumbnails(source, out, cards, side=64, threads=2), [], side=64)
    by_key = {card["key"]: card for card in cards.to_pylist()}
    with ReviewServer(source, out, by_key, "Kim") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Browser(server)
        finally:
            server.shutdown()
            thread.join()


def wish(
    out: Store, key: str = "1920s/a.jpg", verdict: str = "accept", number: int = 1, **others: Any
) -> Any:
    (etag,) = [card["etag"] for card in read_cards(out).to_pylist() if card["key"] == key]
    return {"id": f"{number:032x}", "key": key, "etag": etag, "verdict": verdict, **others}


def test_the_token_lets_one_browser_in_once(browser: Browser) -> None:
    assert browser.ask("/gallery/index.html")[0] == 403
    assert browser.ask("/?token=" + "x" * 43)[0] == 403
    browser.enter()
    status, page, headers = browser.ask("/gallery/index.html")
    assert (status, b'content="yes"' in page) == (200, True)
    assert headers["X-Content-Type-Options"] == "nosniff"
    browser.cookie = ""
    for path in (browser.path, "/", "/gallery/index.html"):  # a second time it lets nobody in
        status, page, headers = browser.ask(path)
        assert (status, headers["Content-Type"]) == (403, "text/html; charset=utf-8")
        assert b"This address works once. Stop the command with Ctrl-C and start it again." in page
    status, answer, _ = browser.ask("/api/correction?key=x")
    assert (status, "fiat-color review OUT --serve" in json.loads(answer)["error"]) == (403, True)


def test_a_decision_is_kept_with_who_and_when(browser: Browser, out: Store) -> None:
    browser.enter()
    status, body, _ = browser.ask("/api/decisions", wish(out))
    assert status == 200
    (kept,) = read_decisions(out)
    assert (kept.key, kept.verdict, kept.who) == ("1920s/a.jpg", "accept", "Kim")
    assert [one["id"] for one in json.loads(body)] == [kept.id]
    assert browser.ask("/gallery/data/decisions.js")[1].count(kept.id.encode()) == 1
    undo = wish(out, verdict="undo", number=2, undoes=kept.id)
    assert json.loads(browser.ask("/api/decisions", undo)[1]) == []
    assert browser.ask("/api/decisions", undo | {"id": f"{3:032x}"})[0] == 409, "it is taken back already"
    assert len(read_decisions(out)) == 2


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": None},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Host": "evil.example"},
        {"Host": ""},
        {"Cookie": "fiat-review=guess"},
        {"Cookie": None},
        {"Content_Type": "text/plain"},
        {"Content_Length": "99999999"},
        {"Content_Length": "-1"},
    ],
    ids=str,
)
def test_what_does_not_come_from_the_gallery_changes_nothing(
    browser: Browser, out: Store, headers: dict[str, str | None]
) -> None:
    browser.enter()
    assert browser.ask("/api/decisions", wish(out), **headers)[0] in (400, 403, 413, 415)
    assert read_decisions(out) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{" * 5000,
        {"key": "1920s/a.jpg"},
        {"id": "../../x", "key": "1920s/a.jpg", "etag": "e", "verdict": "accept"},
        {"id": "0" * 32, "key": "no such image", "etag": "e", "verdict": "accept"},
        {"id": "0" * 32, "key": "1920s/a.jpg", "etag": "another version", "verdict": "accept"},
        {"id": "0" * 32, "key": "1920s/a.jpg", "etag": "e", "verdict": "accept", "who": "somebody else"},
    ],
    ids=range(8),
)
def test_what_is_no_decision_is_refused(browser: Browser, out: Store, body: Any) -> None:
    browser.enter()
    status, answer, _ = browser.ask("/api/decisions", body)
    assert status in (400, 409)
    assert json.loads(answer)["error"]
    assert read_decisions(out) == []


@pytest.mark.parametrize(
    "path",
    [
        "/gallery/../ledger/digest/part-one.parquet",
        "/gallery/data/../../ledger/digest/part-one.parquet",
        "/gallery/%2e%2e/ledger/digest/part-one.parquet",
        "/gallery/data/page-00000.js/../../../x",
        "/images/1920s/a.jpg",
        "/ledger/digest/part-one.parquet",
        "/etc/passwd",
        "/view/before?key=../../etc/passwd",
        "/view/elsewhere?key=1920s/a.jpg",
        "/view/after?key=broken.jpg",
        "/view/before?key=broken.jpg",
    ],
)
def test_nothing_but_the_gallery_is_served(browser: Browser, path: str) -> None:
    browser.enter()
    assert browser.ask(path)[0] == 404


@pytest.mark.parametrize("key", ["1920s/a.jpg", HOSTILE])
@pytest.mark.parametrize("which", ["before", "after"])
def test_pictures_at_full_size(browser: Browser, which: str, key: str) -> None:
    assert browser.ask(f"/view/{which}?key={quote(key)}")[0] == 403
    browser.enter()
    status, data, headers = browser.ask(f"/view/{which}?key={quote(key)}")
    assert (status, headers["Content-Type"], data[:2]) == (200, "image/jpeg", b"\xff\xd8")


def test_serving_writes_decisions_and_nothing_else(browser: Browser, out: Store) -> None:
    before = {(info.key, info.etag) for info in out.list()}
    browser.enter()
    for path in ("/gallery/index.html", "/gallery/data/index.js", "/view/before?key=1920s/a.jpg"):
        assert browser.ask(path)[0] == 200
    browser.ask("/api/decisions", wish(out))
    fresh = {(info.key, info.etag) for info in out.list()} - before
    assert [key.partition("/")[0] for key, _ in fresh] == ["decisions"]
