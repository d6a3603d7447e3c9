"""The benchmark of plans: it lists the simulated archive as S3 lists, and measures each state of a ledger."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.benchmark.simulated_archive import ArchiveKeys, SimulatedArchive, page_of


@pytest.mark.parametrize("flat", [True, False])
def test_keys_are_in_order_and_as_long_as_real_ones(flat: bool) -> None:
    keys = ArchiveKeys(2_000_000, flat=flat)
    some = [keys[i] for i in range(0, 2_000_000, 7919)]
    assert some == sorted(set(some))
    assert all(50 <= len(key) <= 70 for key in some)
    with pytest.raises(IndexError):
        keys[2_000_000]


def test_folders_are_common_prefixes() -> None:
    keys = ["a", "a/1", "a/2", "b/1", "c"]
    answer = page_of(keys, size=3)(Prefix="", Delimiter="/")
    assert [each["Key"] for each in answer["Contents"]] == ["a"]
    assert [each["Prefix"] for each in answer["CommonPrefixes"]] == ["a/", "b/"]
    rest = page_of(keys, size=3)(Delimiter="/", ContinuationToken=answer["NextContinuationToken"])
    assert ([each["Key"] for each in rest["Contents"]], rest["IsTruncated"]) == (["c"], False)
    assert [info.key for info in SimulatedArchive(keys).list("a")] == ["a", "a/1", "a/2"]


@pytest.mark.job
def test_all_three_states_are_measured_and_nothing_is_left(in_process, tmp_path: Path) -> None:
    ended = in_process("benchmark", "--plan", "2000", "--folder", tmp_path)
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert [report[state]["to_do"] for state in ("nothing_done", "half_done", "all_done")] == [2000, 1000, 0]
    assert report["nothing_done"]["shards"] == 250
    assert all(report[state]["peak_rss_mib"] > 50 for state in ("nothing_done", "half_done", "all_done"))
    assert list(tmp_path.iterdir()) == []
