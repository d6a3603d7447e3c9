"""Corrections through the server: kept, previewed one at a time, and refused if they are malicious."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.storage import StorageConfig
from pipeline.errors import FailureCode, ImageFailure, StorageError
from pipeline.review.cards import read_cards
from pipeline.review.correction import Correction
from pipeline.review.decisions import read_decisions
from pipeline.review.page_requests import Card, Cards
from pipeline.review.server import ReviewServer
from pipeline.storage import Store, open_store
from tests.review.test_correction import STROKE
from tests.review.test_server import Browser, wish
from tests.support.gallery_pages import serving
from tests.support.gallery_samples import sample_output

pytestmark = pytest.mark.server

KEY = "1920s/a.jpg"


class Colouring:
    """A preview that waits until it is let go, and says what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[Correction] = []
        self.go, self.began = threading.Event(), threading.Event()

    def __call__(self, card: Card, correction: Correction, lender: Card | None) -> bytes:
        assert card["key"] == KEY
        self.asked.append(correction)
        self.began.set()
        if correction.method == "nonsense":
            raise ImageFailure(FailureCode.GUIDE_INVALID, "there is no\nsuch method")
        assert self.go.wait(10)
        return b"\xff\xd8" + str(correction.chroma).encode()


@pytest.fixture
def out(tmp_path: Path) -> Store:
    return sample_output(tmp_path)[1]


@pytest.fixture
def colouring() -> Colouring:
    return Colouring()


@pytest.fixture
def browser(tmp_path: Path, out: Store, colouring: Colouring) -> Iterator[Browser]:
    source, cards = open_store(str(tmp_path / "in"), StorageConfig()), read_cards(out)
    by_key = {card["key"]: card for card in cards.to_pylist()}
    with serving(ReviewServer(source, out, by_key, "Kim", preview=colouring)) as server:
        browser = Browser(server)
        browser.enter()
        yield browser
        colouring.go.set()


def test_a_correction_is_kept_and_given_to_who_asks_for_it(browser: Browser, out: Store) -> None:
    wanted = {"strokes": [STROKE], "chroma": 0.5}
    status, body, _ = browser.ask("/api/decisions", wish(out, verdict="correct", correction=wanted))
    assert status == 200
    (kept,) = read_decisions(out)
    assert kept.correction == Correction.model_validate(wanted)
    assert "correction" not in json.loads(body)[0], "of all that stand together they would be large"
    assert Correction.model_validate_json(browser.ask(f"/api/correction?key={KEY}")[1]) == kept.correction
    assert browser.ask("/api/correction?key=1920s/b.jpg")[1] == b"null"


@pytest.mark.parametrize(
    "wanted",
    [
        None,
        {},
        {"chroma": 1e9},
        {"reference": "no such image"},
        {"reference": "broken.jpg"},
        {"strokes": [{**STROKE, "path": [[0, 2]]}]},
        {"chroma": 0.5, "__proto__": {}},
    ],
)
def test_no_other_correction_is_kept(browser: Browser, out: Store, wanted: Any) -> None:
    status, answer, _ = browser.ask("/api/decisions", wish(out, verdict="correct", correction=wanted))
    assert status in (400, 409)
    assert "\n" not in json.loads(answer)["error"]
    assert read_decisions(out) == []


def test_the_newest_preview_supersedes_those_that_wait(browser: Browser, colouring: Colouring) -> None:
    answers: dict[float, tuple[int, bytes]] = {}

    def ask(chroma: float) -> None:
        answers[chroma] = browser.ask("/preview", {"key": KEY, "correction": {"chroma": chroma}})[:2]

    threads = [threading.Thread(target=ask, args=(chroma,)) for chroma in (0.1, 0.2, 0.3)]
    for number, thread in enumerate(threads, 1):
        thread.start()
        assert colouring.began.wait(10)
        while browser.server.previews_asked < number:
            threading.Event().wait(0.005)
    colouring.go.set()
    for thread in threads:
        thread.join()
    assert answers[0.1] == (200, b"\xff\xd80.1"), "what is begun is finished"
    assert answers[0.2][0] == 409
    assert answers[0.3] == (200, b"\xff\xd80.3")
    assert [one.chroma for one in colouring.asked] == [0.1, 0.3]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", 400),
        (b"{" * 100_000, 400),
        (b"[" * 100_000, 400),
        ({"key": KEY}, 400),
        ({"key": KEY, "correction": {}}, 400),
        ({"key": KEY, "correction": {"chroma": "NaN"}}, 400),
        ({"key": "../../etc/passwd", "correction": {"chroma": 1.5}}, 404),
        ({"key": KEY, "correction": {"method": "nonsense"}}, 422),
    ],
    ids=range(8),
)
def test_hostile_previews_are_refused_in_one_line(browser: Browser, body: Any, expected: int) -> None:
    status, answer, _ = browser.ask("/preview", body)
    assert status == expected
    assert "\n" not in json.loads(answer)["error"]


@pytest.mark.parametrize("path", ["/preview", "/api/decisions", "/api/apply"])
@pytest.mark.parametrize("length", [str(10**9), "1" * 5000, "-1", "1e3", None])
def test_a_body_of_a_gigabyte_is_not_read(browser: Browser, path: str, length: str | None) -> None:
    headers = (
        {"Content_Length": length} if length else {"Content_Length": None, "Transfer_Encoding": "chunked"}
    )
    assert browser.ask(path, b"", **headers)[0] == 413


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Cookie": None}], ids=str
)
@pytest.mark.parametrize("path", ["/preview", "/api/apply"])
def test_nobody_else_can_ask(browser: Browser, colouring: Colouring, path: str, headers: Any) -> None:
    assert browser.ask(path, {"key": KEY, "correction": {"chroma": 1.5}}, **headers)[0] == 403
    assert colouring.asked == []


def test_decisions_are_applied_once_at_a_time(tmp_path: Path, out: Store) -> None:
    cards = {card["key"]: card for card in read_cards(out).to_pylist()}
    go = threading.Event()
    results: list[Any] = [
        ("2 are done", {KEY: {**cards[KEY], "output_key": None}}),
        StorageError("no\nspace"),
    ]

    def apply() -> tuple[str, Cards]:
        assert go.wait(10)
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result  # type: ignore[no-any-return]

    def state() -> Any:
        return json.loads(browser.ask("/api/apply")[1])

    with serving(ReviewServer(None, out, cards, "Kim", apply=apply)) as server:
        browser = Browser(server)
        assert browser.ask("/api/apply")[0] == 403
        browser.enter()
        assert state()["state"] == "idle"
        for expected in (("done", "2 are done"), ("failed", "no space")):
            go.clear()
            assert browser.ask("/api/apply", {})[0] == 200
            assert browser.ask("/api/apply", {})[0] == 409
            go.set()
            while (now := state())["state"] == "running":
                threading.Event().wait(0.005)
            assert (now["state"], now["message"]) == expected
        assert browser.ask(f"/view/after?key={KEY}")[0] == 404, "the cards are those that it returned"
