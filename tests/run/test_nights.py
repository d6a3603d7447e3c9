"""Seven nights of one growing folder, each a run of the real job; the last on a permanent Ray head."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.job_runner import encoded, fill, ledger, photograph, run, shared_head

GRAY = {name: encoded(photograph(seed)) for seed, name in enumerate("abcdefg")}
BROKEN = b"\xff\xd8\xff\xe0 cut off"
SETTINGS = ("run.workers=1", "model.side=64", "report.sample=1", "report.keep=3", "run.max_failed=0.5")


@pytest.mark.first
@pytest.mark.ray
@pytest.mark.timeout(600)  # eight starts of the job, on a loaded machine
def test_each_night_does_what_is_new_or_changed_and_says_how_it_went(tmp_path: Path, colorize) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    settings = [arg for setting in SETTINGS for arg in ("--set", setting)]

    def night(
        files: dict[str, bytes], gone: tuple[str, ...] = (), job: Callable[..., Any] = colorize
    ) -> tuple[int, list[str]]:
        """The exit status, and the keys that got a row, with their status where that is not `colorized`."""
        fill(str(source), {f"{name}.jpg": data for name, data in files.items()})
        for name in gone:
            (source / f"{name}.jpg").unlink()
        before = {(row["key"], row["run_id"]) for row in ledger(str(out))}
        done = job("--input", source, "--output", out, *settings)
        print(done.stdout, done.stderr)
        assert "Traceback" not in done.stderr + done.stdout
        told.append(done.stderr)
        new = [row for row in ledger(str(out)) if (row["key"], row["run_id"]) not in before]
        return done.returncode, [
            row["key"][0] if row["status"] == "colorized" else f"{row['key'][0]} {row['failure_code']}"
            for row in new
        ]

    strange = shared_head() | {"RAY_AUTH_TOKEN": "another" * 8}
    fill(str(source), {"a.jpg": GRAY["a"]})
    refused = run("--input", source, "--output", tmp_path / "refused", *settings, env=strange)
    assert refused.returncode == 2
    refusal = f"error: the Ray head at {strange['RAY_ADDRESS']} refuses the token"
    assert refused.stderr.splitlines()[-1].startswith(refusal)

    told: list[str] = []
    a, b, c, d, e, f, g = (GRAY[name] for name in "abcdefg")
    assert night({"a": a, "b": b}) == (0, ["a", "b"])  # Monday: the first two
    assert night({"c": c}) == (0, ["c"])  # a new one
    assert night({}) == (0, [])  # nothing happened
    assert night({"a": d}, gone=("b",)) == (0, ["a"])  # another scan under an old name; one deleted
    assert night({"d": d, "e": BROKEN}) == (
        3,
        ["d", "e truncated"],
    )  # half of the night's work fails: allowed
    assert night({"f": BROKEN, "g": BROKEN}) == (4, ["f truncated", "g truncated"])  # a disk rots
    assert re.search(r"error: 2 of 2 images failed \(100\.0%\); run\.max_failed allows 50\.0%", told[-1])
    assert night({"e": e, "f": f, "g": g}, job=run) == (0, ["e", "f", "g"])  # restored from the backup

    assert sorted(path.name for path in (out / "images").iterdir()) == [f"{name}.jpg" for name in "abcdefg"]
    runs = sorted((out / "runs").iterdir())
    statuses = [json.loads((folder / "summary.json").read_text())["exit_status"] for folder in runs]
    assert statuses == [3, 4, 0], "the newest three of six runs that worked"
