"""Two people decide while a job colours: each is a process, and none waits for another."""

import subprocess
import sys
from pathlib import Path

import pytest

from jobs.colorize_bucket import main as colorize
from pipeline.records import Status
from pipeline.review.decisions import listed_decisions, read_decisions
from tests.support.gallery_samples import photographs
from tests.support.job_runner import ledger
from tests.support.paths import REPO
from tests.support.reviewer import LEAST

#: Decided about all the time, but for the last one.
NAMES = ("buffalo-savings-bank-1908.jpg", "daytona-beach-1900s.jpg", "farmhouse-greece-1911.jpg")
SETTINGS = ("model.side=64", "run.workers=1", "run.engine=processes", "report.sample=0")


@pytest.mark.job
@pytest.mark.server
def test_no_decision_is_lost_and_nobodys_written_over(tmp_path: Path) -> None:
    source, out = photographs(tmp_path, NAMES, side=64)
    stop = tmp_path / "stop"
    people = {
        who: subprocess.Popen(
            [sys.executable, "-m", "tests.support.reviewer", out.uri, who, str(stop)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPO,
        )
        for who in ("Kim", "Lee")
    }
    try:
        for person in people.values():
            assert person.stdout is not None
            assert person.stdout.readline() == "begins\n"
        before = len(listed_decisions(out))
        settings = [word for setting in SETTINGS for word in ("--set", setting)]
        assert colorize(["--input", source.uri, "--output", out.uri, *settings]) == 0
        assert len(listed_decisions(out)) > before
    finally:
        stop.touch()
        printed = {who: person.communicate(timeout=120)[0].splitlines() for who, person in people.items()}
    assert [person.returncode for person in people.values()] == [0, 0]
    assert min(map(len, printed.values())) >= LEAST
    decisions = read_decisions(out)
    assert len(decisions) == len(listed_decisions(out)) == sum(map(len, printed.values()))
    for who, lines in printed.items():
        assert sorted(f"{one.id} {one.verdict}" for one in decisions if one.who == who) == sorted(lines)
    fresh = {row["key"]: row["status"] for row in ledger(out.uri) if row["job_digest"] != "digest"}
    assert fresh[NAMES[-1]] == Status.COLORIZED
    assert set(fresh.values()) == {Status.COLORIZED}
