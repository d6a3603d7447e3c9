"""The gallery's files: every source is there, thumbnails are written once, and no text becomes code."""

import hashlib
import io
import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.errors import ConfigError, FailureCode
from pipeline.ledger.keys import thumbnail_key
from pipeline.ledger.schema import LedgerRow
from pipeline.records import Status
from pipeline.review import gallery
from pipeline.review.cards import read_cards
from pipeline.review.gallery import page_files, write_gallery
from pipeline.review.thumbnails import Thumbnails, make_thumbnails, source_name
from pipeline.storage import Store
from tests.support.gallery_samples import HOSTILE, NOON, coloured, failed, sample_output, stores
from tests.support.ledger_parts import put_part, row
from tests.support.paths import REPO
from tests.support.samples import encoded, photo

SIDE = 64


def made(source: Store | None, out: Store) -> Thumbnails:
    return make_thumbnails(source, out, read_cards(out), side=SIDE, threads=2)


def called(data: bytes, function: str) -> Any:
    """The argument of a data page's call, read as a browser does."""
    call = re.fullmatch(rf"{function}\((?:\d+, )?JSON\.parse\((\".*\")\)\);\n", data.decode("ascii"))
    assert call, data[:200]
    return json.loads(json.loads(call[1]))


def rows_of(out: Store) -> list[dict[str, Any]]:
    index = called(out.get("gallery/data/index.js").data, "fiatIndex")
    rows = []
    for name in index["pages"]:
        page = called(out.get("gallery/data/" + name.partition("?")[0]).data, "fiatPage")
        words = page.pop("words")
        del page["earlier"]
        rows += [dict(zip(page, values, strict=True)) for values in zip(*page.values(), strict=True)]
        for card in rows[-len(page["key"]) :]:
            card |= {name: words[card[name]] for name in ("status", "failure_code", "method", "run_id")}
    assert len(rows) == index["rows"]
    return rows


def test_every_source_is_in_the_gallery_with_its_thumbnails(tmp_path: Path) -> None:
    source, out = sample_output(tmp_path)
    write_gallery(out, read_cards(out), made(source, out), [], side=SIDE)
    rows = {card["key"]: card for card in rows_of(out)}
    assert set(rows) == {info.key for info in source.list()}
    card = rows["1920s/b.jpg"]
    assert (card["status"], card["mean_chroma"], card["after"], card["view"]) == ("colorized", 9.0, 1, 1)
    assert card["finished_at"] == (NOON + timedelta(days=1)).timestamp()
    for key in (card["before"], card["output_sha256"][:32]):
        with Image.open(io.BytesIO(out.get(thumbnail_key(SIDE, key)).data)) as image:
            assert max(image.size) == 61
    broken = rows["broken.jpg"]
    assert (broken["status"], broken["failure_code"], broken["before"], broken["after"]) == (
        *("failed", "corrupt"),
        *("", 0),
    )
    assert rows["1930s/shown.jpg"]["before"], "a source that can be shown is, though its colouring failed"


def test_a_picture_that_has_a_thumbnail_is_not_read_again(tmp_path: Path) -> None:
    source, out = sample_output(tmp_path)
    first = made(source, out)
    assert (first.made, first.unreadable) == (9, 1)
    for folder in ("in", "out/images"):  # no bytes are left that could be read
        for path in (tmp_path / folder).rglob("*"):
            if path.is_file():
                path.write_bytes(b"")
    again = made(source, out)
    assert again.made == 0
    assert (again.before, again.after) == (first.before, first.after)


def test_what_is_not_the_ledgers_has_no_thumbnail(tmp_path: Path) -> None:
    source, out = stores(tmp_path)
    put_part(out, "digest", "one", [coloured(source, out, "a.jpg"), coloured(source, out, "b.jpg", 1)])
    source.put("a.jpg", encoded(photo(30, 30), "JPEG"))
    out.put("images/b.jpg", encoded(photo(30, 30), "JPEG"))
    pictures = made(source, out)
    assert [bool(name) for name in pictures.before] == [False, True]
    assert [bool(name) for name in pictures.after] == [True, False]
    assert pictures.unreadable == 2


def test_the_end_of_a_run_reads_only_what_failed_in_it(tmp_path: Path) -> None:
    """Workers have written the others; what earlier runs left without thumbnails waits for a review."""
    source, out = sample_output(tmp_path)
    late = [failed(source, f"{name}.jpg", encoded(photo(), "JPEG"), "words") for name in ("late", "crashed")]
    for one in late:
        one.run_id = "later"
    late[1].failure_code = str(FailureCode.DECODER_CRASHED)
    put_part(out, "digest", "two", late)
    cards = read_cards(out)
    pictures = make_thumbnails(source, out, cards, side=SIDE, threads=2, of_run="later")
    shown = {key for key, name in zip(cards["key"].to_pylist(), pictures.before, strict=True) if name}
    assert shown == {"late.jpg"}, "what ended its decoder is not opened in the process that closes a run"
    assert (pictures.made, pictures.unreadable, pictures.left) == (1, 0, 4)
    assert not any(pictures.after)
    assert made(source, out).left == 0


def test_without_the_sources_the_results_are_shown(tmp_path: Path) -> None:
    _, out = sample_output(tmp_path)
    pictures = made(None, out)
    assert not any(pictures.before)
    assert sum(map(bool, pictures.after)) == 4


def test_an_earlier_result_stands_where_the_last_run_failed(tmp_path: Path) -> None:
    source, out = stores(tmp_path)
    result = coloured(source, out, "a.jpg", chroma=7.0)
    later = failed(source, "a.jpg", source.get("a.jpg").data, "no memory")
    later.etag, later.finished_at = result.etag, NOON + timedelta(days=1)
    put_part(out, "digest", "one", [result])
    put_part(out, "other", "one", [later])
    (card,) = read_cards(out).to_pylist()
    assert (card["status"], card["failure_code"]) == ("failed", "corrupt")
    assert (card["output_key"], card["mean_chroma"]) == ("images/a.jpg", 7.0)


def test_other_results_of_the_same_bytes_are_earlier_ones(tmp_path: Path) -> None:
    source, out = stores(tmp_path)
    before, result = coloured(source, out, "a.jpg"), coloured(source, out, "a.jpg")
    over = coloured(source, out, "a.jpg")
    before.output_key, before.method = "images/a.png", "iizuka"
    over.output_key, over.finished_at = "images/a.jpg", NOON + timedelta(days=1)
    result.finished_at = NOON + timedelta(days=2)
    before.etag = over.etag = result.etag
    other_bytes = replace(before, etag="other", output_key="images/a.webp")
    put_part(out, "digest", "one", [before, other_bytes])
    put_part(out, "other", "one", [over])
    put_part(out, "third", "one", [result])
    (card,) = read_cards(out).to_pylist()
    assert card["output_key"] == "images/a.jpg"
    assert [(one["output_key"], one["method"]) for one in card["earlier"]] == [("images/a.png", "iizuka")]
    write_gallery(out, read_cards(out), made(source, out), [], side=SIDE)
    index = called(out.get("gallery/data/index.js").data, "fiatIndex")
    page = called(out.get("gallery/data/" + index["pages"][0].partition("?")[0]).data, "fiatPage")
    assert page["earlier"] == {"0": [["images/a.png", 1, "iizuka", NOON.timestamp()]]}
    removed = replace(before, status=Status.SUPERSEDED, finished_at=NOON + timedelta(seconds=1))
    put_part(out, "digest", "two", [removed])
    assert read_cards(out)["earlier"].to_pylist() == [None], "its file is gone"


def test_the_result_of_another_version_of_the_source_is_not_shown(tmp_path: Path) -> None:
    source, out = stores(tmp_path)
    result = coloured(source, out, "a.jpg")
    later = row("a.jpg", Status.FAILED, finished_at=NOON + timedelta(days=1), etag="another")
    put_part(out, "digest", "one", [result, later])
    (card,) = read_cards(out).to_pylist()
    assert card["output_key"] is None


def test_no_ledger_no_gallery(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no ledger"):
        read_cards(stores(tmp_path)[1])


def test_rows_come_in_pages_and_old_pages_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = sample_output(tmp_path)
    cards, pictures = read_cards(out), made(source, out)
    monkeypatch.setattr(gallery, "PAGE_ROWS", 2)
    write_gallery(out, cards, pictures, [], side=SIDE)
    assert len(rows_of(out)) == 6
    assert out.exists("gallery/data/page-00002.js")
    monkeypatch.setattr(gallery, "PAGE_ROWS", 4)
    write_gallery(out, cards, pictures, [], side=SIDE)
    assert len(rows_of(out)) == 6
    assert not out.exists("gallery/data/page-00002.js")


@pytest.mark.parametrize("text", ["</script><script>x()", '");x();("', "\u2028\u2029\ud800\\", "'`${x}"])
def test_no_text_leaves_its_quotes(tmp_path: Path, text: str) -> None:
    out = stores(tmp_path)[1]
    ledger_row: LedgerRow = row("key.jpg", Status.FAILED)
    ledger_row.message = text.encode("utf-8", "replace").decode()
    put_part(out, "digest", "one", [ledger_row])
    write_gallery(out, read_cards(out), Thumbnails([""], [""], 0, 0), [], side=SIDE)
    assert rows_of(out)[0]["message"] == ledger_row.message


def test_names_of_thumbnails_are_digests_whatever_the_key_is() -> None:
    name = source_name({"source_sha256": None, "key": "../../" + HOSTILE, "etag": "e"})
    assert re.fullmatch("[0-9a-f]{32}", name)


def test_the_page_asks_nobody_else_for_anything() -> None:
    files = dict(page_files())
    page = files["index.html"].decode()
    assert "default-src 'none'; script-src 'self'; style-src 'self' 'sha256-" in page
    own = {name: data.decode() for name, data in files.items() if not name.startswith("vendor/")}
    for name, text in own.items():
        assert not re.search(r"https?:|innerHTML|insertAdjacentHTML|document\.write|eval\(", text), name
    named = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert {name for name in named if not name.startswith("data:")} <= set(files)


def test_vendored_files_are_those_that_the_list_names() -> None:
    folder = REPO / "pipeline/review/page/vendor"

    listed = dict(re.findall(r"^([0-9a-f]{64})  (\S+)$", (folder / "VERSIONS.txt").read_text(), re.MULTILINE))
    files = [path for path in folder.iterdir() if path.suffix in (".js", ".css")]
    assert {hashlib.sha256(path.read_bytes()).hexdigest(): path.name for path in files} == listed
    for name in ("openseadragon", "img-comparison-slider"):
        assert "copyright" in (folder / f"{name}.LICENSE.txt").read_text().lower()


def test_every_word_of_the_page_is_there_in_both_languages() -> None:
    files = {name: data.decode() for name, data in page_files()}
    words = re.findall(
        r"^  (\w+): \[$|^  (\w+): \[\"[^\"]+\", \"[^\"]+\"\],$", files["texts.js"], re.MULTILINE
    )
    known = {one or other for one, other in words}
    used = set(re.findall(r'data-text="(\w+)"', files["index.html"]))
    for name in ("grid.js", "view.js", "decide.js"):
        used |= set(re.findall(r'text\("(\w+)"\)', files[name]))
    assert used <= known, used - known
    assert {str(status) for status in Status} <= known
    assert re.search("[가-힣]", files["texts.js"])
