"""People correct, and --apply or the next run applies it: one example, and what a decision must never do."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from jobs.colorize_bucket import main as colorize
from jobs.review import main as review
from pipeline.config.job import JobConfig
from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError
from pipeline.review.decisions import Decision, write_decision
from pipeline.run.redo import recolor_decided, redone_keys
from pipeline.storage import Store, open_store
from tests.support.gallery_samples import etag_of
from tests.support.job_runner import encoded, fill, ledger, photograph
from tests.support.ledger_parts import put_part, row

pytestmark = [pytest.mark.job, pytest.mark.usefixtures("kept_pool")]

SETTINGS = ("model.side=64", "run.workers=1", "run.engine=processes")
FAST = [word for setting in SETTINGS for word in ("--set", setting)]
STROKE = {"color": "#c81e1e", "radius": 0.1, "path": [[0.2, 0.5], [0.8, 0.5]]}


class Archive:
    """Photographs, their output, and a person who decides."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.places = ("--input", str(root / "in"), "--output", str(root / "out"))
        self.source: Store = open_store(str(root / "in"), StorageConfig())
        self.out: Store = open_store(str(root / "out"), StorageConfig())

    def decide(self, key: str, verdict: str, etag: str | None = None, **fields: Any) -> Decision:
        now = datetime.now(UTC)
        etag = etag or etag_of(self.source, key)
        decision = Decision(key=key, etag=etag, verdict=verdict, who="Kim", when=now, **fields)
        assert write_decision(self.out, decision)
        return decision

    def rows(self) -> dict[str, dict[str, Any]]:
        """By key the row that was finished last."""
        rows = sorted(ledger(str(self.root / "out")), key=lambda row: row["finished_at"])
        return {row["key"]: row for row in rows}

    def chroma(self) -> dict[str, float]:
        return {key: row["mean_chroma"] for key, row in self.rows().items()}


def test_corrected_gray_and_taken_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = Archive(tmp_path)
    fill(
        str(tmp_path / "in"), {f"{name}.png": encoded(photograph(i), "PNG") for i, name in enumerate("abcd")}
    )
    assert colorize([*archive.places, *FAST]) == 0
    before = archive.rows()
    assert len(list((tmp_path / "out/gallery/thumbs").rglob("*.jpg"))) == 8
    archive.decide("a.png", "correct", correction={"strokes": [STROKE], "chroma": 2.0})
    gray = archive.decide("b.png", "gray")
    archive.decide("d.png", "correct", correction={"reference": "a.png"}, etag="of a scan before")
    assert review(["--output", str(tmp_path / "out"), "--apply"]) == 0
    printed = capsys.readouterr()
    assert "to do    2 files" in printed.out
    assert "1 correction of another version of the source, such as 'd.png'" in printed.err
    after = archive.rows()
    assert [key for key in after if after[key] != before[key]] == ["a.png", "b.png"]
    assert after["a.png"]["message"] == "guided by strokes, chroma"
    assert after["a.png"]["mean_chroma"] > before["a.png"]["mean_chroma"] + 5
    assert (after["b.png"]["method"], after["b.png"]["mean_chroma"]) == ("gray", 0)
    with Image.open(tmp_path / "out" / after["b.png"]["output_key"]) as image:
        red, green, blue = image.convert("RGB").split()
        assert red.tobytes() == green.tobytes() == blue.tobytes()
    assert review(["--output", str(tmp_path / "out"), "--apply"]) == 0
    assert "nothing to apply: all decisions are applied already\n" in capsys.readouterr().out
    assert archive.rows() == after
    archive.decide("b.png", "undo", undoes=gray.id)
    assert colorize([*archive.places, *FAST]) == 0
    assert archive.chroma()["b.png"] == before["b.png"]["mean_chroma"]
    assert archive.rows()["a.png"] == after["a.png"]


def test_decisions_about_nothing_do_nothing(tmp_path: Path) -> None:
    """Names that lead elsewhere, script and what is no decision's name: none is looked for in the input."""
    archive = Archive(tmp_path)
    fill(str(tmp_path / "in"), {"a.png": b"never read"})
    secret = tmp_path / "secret.png"
    secret.write_bytes(encoded(photograph(1), "PNG"))
    for key in ("../secret.png", str(secret), "<script>alert(1)</script>.png", "a.png"):
        archive.decide(key, "correct", etag="e", correction={"reference": "../secret.png"})
    archive.out.put("decisions/huge.json", b"x" * 2**21)
    outcome = recolor_decided(str(tmp_path / "out"), JobConfig())
    assert outcome.exit_status == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"decisions"}


def test_what_a_decision_may_change_is_done_again(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    fill(str(tmp_path / "in"), {f"{name}.png": name.encode() for name in "abcdef"})
    all_taken = [
        archive.decide("a.png", "accept"),
        archive.decide("b.png", "reject"),
        archive.decide("c.png", "gray"),
        archive.decide("d.png", "correct", correction={"chroma": 0.5}),
    ]
    rejected = archive.decide("e.png", "reject")
    all_taken += [rejected, archive.decide("e.png", "undo", undoes=rejected.id)]
    assert redone_keys(all_taken) == {"c.png", "d.png", "e.png"}


def test_without_a_finished_run_nobody_knows_how_to_colour(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    fill(str(tmp_path / "in"), {"a.png": b"never read"})
    put_part(archive.out, "digest", "1", [row("a.png")])
    archive.decide("a.png", "gray")
    with pytest.raises(ConfigError, match="no finished run below"):
        recolor_decided(str(tmp_path / "out"), JobConfig())
