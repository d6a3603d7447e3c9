"""The job as a user calls it: the gallery, decisions from a file, and one line for each mistake."""

import contextlib
import json
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from jobs.review import main
from pipeline.ledger.keys import LEASE, config_key, summary_key
from pipeline.records import Status
from pipeline.review.decisions import read_decisions
from pipeline.storage import Store
from pipeline.storage.lease import hold_lease
from tests.support.gallery_samples import etag_of, sample_output
from tests.support.ledger_parts import put_part, row
from tests.support.paths import REPO


def test_the_gallery_is_made_and_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample_output(tmp_path)
    line = ["--output", str(tmp_path / "out"), "--input", str(tmp_path / "in")]
    assert main(line) == 0
    assert "6 images, 9 thumbnails written, 1 picture cannot be shown" in capsys.readouterr().out
    assert main(line) == 0
    assert "6 images, 0 thumbnails written" in capsys.readouterr().out
    assert (tmp_path / "out/gallery/index.html").is_file()


def test_what_is_no_image_is_no_picture_that_cannot_be_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = sample_output(tmp_path)
    source.put("notes.txt", b"notes")
    put_part(
        out, "digest", "notes", [row("notes.txt", Status.SKIPPED_OTHER, etag=etag_of(source, "notes.txt"))]
    )
    assert main(["--output", str(tmp_path / "out"), "--input", str(tmp_path / "in")]) == 0
    assert "7 images, 9 thumbnails written, 1 picture cannot be shown" in capsys.readouterr().out


def left_by_run(out: Store, run_id: str, source: str) -> None:
    out.put(config_key(run_id), b"{}")
    out.put(summary_key(run_id), json.dumps({"job_digest": "d", "input": source}).encode())


def test_the_sources_are_where_the_last_run_read_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out = sample_output(tmp_path)
    left_by_run(out, "20260101T000000Z-0000", "/not/there")
    assert main(["--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert "4 thumbnails written" in printed.out
    assert "give --input" in printed.err
    left_by_run(out, "20260102T000000Z-0000", str(tmp_path / "in"))
    assert main(["--output", str(tmp_path / "out")]) == 0
    assert "5 thumbnails written" in capsys.readouterr().out
    out.put(summary_key("20260102T000000Z-0000"), b"cut o")
    assert main(["--output", str(tmp_path / "out")]) == 0
    assert "summary.json is damaged" in capsys.readouterr().err


def test_decisions_of_the_page_are_taken_in_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out = sample_output(tmp_path)
    one = {"id": "1" * 32, "key": "1920s/a.jpg", "etag": "e", "verdict": "accept", "who": "Kim"}
    one["when"] = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    file = tmp_path / "decisions.json"
    file.write_text(json.dumps({"decisions": [one]}))
    line = ["--output", str(tmp_path / "out"), "--input", str(tmp_path / "in"), "--decisions", str(file)]
    assert main(line) == 0
    assert "imported 1 decision\n" in capsys.readouterr().out
    assert main(line) == 0
    assert "imported 0; 1 was stored already\n" in capsys.readouterr().out
    file.write_text('{"decisions": []}')
    assert main(line) == 0
    assert "the file holds no decisions\n" in capsys.readouterr().out
    assert [decision.who for decision in read_decisions(out)] == ["Kim"]
    assert b"1" * 32 in out.get("gallery/data/decisions.js").data


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--decisions", "missing.json"], "cannot read the decisions"),
        (["--who", "two\nlines"], "is not a valid name"),
        (["--input", "gopher://x"], "not a supported place"),
        (["--set", "report.thumbnail=0"], "report.thumbnail"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    sample_output(tmp_path)
    assert main(["--output", str(tmp_path / "out"), *more]) == 2
    printed = capsys.readouterr().err.strip().splitlines()
    assert len(printed) == 1
    assert message in printed[0]
    assert not (tmp_path / "out/gallery").exists()


def test_sources_inside_the_gallery_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample_output(tmp_path)
    line = ["--output", str(tmp_path / "out"), "--input", str(tmp_path / "out/gallery/scans")]
    assert main(line) == 2
    assert "is among the results" in capsys.readouterr().err


def test_an_output_without_a_ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").mkdir()
    assert main(["--output", str(tmp_path / "out")]) == 2
    assert "no ledger" in capsys.readouterr().err


@pytest.mark.server
def test_it_serves_until_it_is_stopped(tmp_path: Path) -> None:
    sample_output(tmp_path)
    line = [sys.executable, str(REPO / "jobs/review.py"), "--output", str(tmp_path / "out"), "--serve"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        with contextlib.ExitStack() as stack:
            stack.callback(process.kill)
            address = next(
                match[0] for text in process.stdout if (match := re.search(r"http://127\S+", text))
            )
            page = build_opener(HTTPCookieProcessor()).open(address, timeout=30).read()
            assert b'name="fiat-server" content="yes"' in page
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0


def test_apply_removes_what_is_rejected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = sample_output(tmp_path)
    key = "1920s/a.jpg"
    one = {"id": "2" * 32, "key": key, "etag": etag_of(source, key), "verdict": "reject", "who": "Kim"}
    one["when"] = datetime(2026, 1, 9, tzinfo=UTC).isoformat()
    file = tmp_path / "decisions.json"
    file.write_text(json.dumps({"decisions": [one]}))
    line = ["--output", str(tmp_path / "out"), "--input", str(tmp_path / "in"), "--decisions", str(file)]
    assert main([*line[:4], "--apply"]) == 0
    none = "nothing to apply: no image is rejected, corrected or kept gray\n"
    assert none in capsys.readouterr().out
    assert main(line) == 0
    assert out.exists(f"images/{key}"), "nothing is removed unless that is asked for"
    with hold_lease(out, LEASE, what="run 1"):
        assert main([*line, "--apply"]) == 1
    assert "run 1 has been using" in capsys.readouterr().err
    assert main([*line, "--apply"]) == 0
    assert "removed the results of 1 rejected image\n" in capsys.readouterr().out
    assert main([*line, "--apply"]) == 0
    assert "nothing to apply: all decisions are applied already\n" in capsys.readouterr().out
    assert not out.exists(f"images/{key}")
    assert source.exists(key)
