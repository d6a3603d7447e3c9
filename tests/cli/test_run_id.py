"""Run ids sort by time: the last run of an output has the greatest id."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.cli import run_id
from pipeline.cli.run_id import COLORING_RUN_ID, make_run_id


def test_runs_of_one_second_sort_by_their_beginning() -> None:
    ids = []
    for _ in range(300):
        ids.append(make_run_id())
        time.sleep(1e-4)
    assert ids == sorted(set(ids))
    assert all(COLORING_RUN_ID.fullmatch(one) for one in ids)


@pytest.mark.parametrize(
    ("microsecond", "name"),
    [(0, "20261130T235959Z-0000"), (500_000, "20261130T235959Z-8000"), (999_999, "20261130T235959Z-ffff")],
)
def test_the_last_digits_are_the_fraction_of_the_second(
    microsecond: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC) + timedelta(microseconds=microsecond)

    monkeypatch.setattr(run_id, "datetime", Clock)
    assert make_run_id() == name
    assert make_run_id("verify") == f"{name}-verify"
