"""Old reports are deleted; ledger, images, unfinished runs and what is not a run of the job stay."""

from __future__ import annotations

import pytest

from pipeline.config.storage import StorageConfig
from pipeline.run.retention import drop_old_runs
from pipeline.storage import Store, open_store

RUNS = [f"202601{day:02}T220000Z-00{day:02x}" for day in range(1, 8)]
UNFINISHED = RUNS[1]
OTHERS = [
    "images/runs/20260101T220000Z-0001/summary.json",
    "ledger/0123456789abcdef/part-1.parquet",
    "runs/20260101T220000Z-verify/summary.json",
    "runs/notes.txt",
]


@pytest.fixture(params=["local", "moto"])
def out(request: pytest.FixtureRequest, tmp_path) -> Store:
    """An output of seven nights, the second cut off."""
    if request.param == "local":
        store = open_store(str(tmp_path / "out"), StorageConfig())
    else:
        server = request.getfixturevalue("s3_moto")
        store = open_store(f"s3://{server.bucket()}/out", server.storage_config)
    for run_id in RUNS:
        for name in ("config.yaml", "plan/shards.parquet", "report/index.html", "summary.json"):
            if (run_id, name) != (UNFINISHED, "summary.json"):
                store.put(f"runs/{run_id}/{name}", b"x")
    for key in OTHERS:
        store.put(key, b"x")
    return store


def folders(store: Store) -> list[str]:
    return sorted(
        {result.key.split("/")[1] for result in store.list("runs/2026") if "verify" not in result.key}
    )


def test_the_newest_finished_runs_and_all_that_is_no_report_stay(out: Store) -> None:
    assert drop_old_runs(out, 10) == []
    assert drop_old_runs(out, 3) == [RUNS[0], RUNS[2], RUNS[3]]
    assert folders(out) == [UNFINISHED, *RUNS[4:]]
    assert all(out.exists(key) for key in OTHERS)
    assert len(list(out.list("runs/" + RUNS[6]))) == 4
    assert drop_old_runs(out, 3) == []


def test_no_empty_folders_are_left_on_a_disk(tmp_path) -> None:
    store = open_store(str(tmp_path), StorageConfig())
    for run_id in RUNS[:2]:
        store.put(f"runs/{run_id}/report/index.html", b"x")
        store.put(f"runs/{run_id}/summary.json", b"x")
    drop_old_runs(store, 1)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [RUNS[1]]


def test_a_deletion_that_was_cut_off_is_taken_up(out: Store, monkeypatch) -> None:
    deleted = []

    def once(key: str) -> None:
        if deleted:
            raise KeyboardInterrupt
        deleted.append(key)
        type(out).delete(out, key)

    with monkeypatch.context() as patch:
        patch.setattr(out, "delete", once)
        with pytest.raises(KeyboardInterrupt):
            drop_old_runs(out, 5)
    assert len(list(out.list("runs/" + RUNS[0]))) == 3
    assert drop_old_runs(out, 5) == [RUNS[0]]
    assert not list(out.list("runs/" + RUNS[0]))
