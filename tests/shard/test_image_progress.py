"""What a worker reports about the images of a shard while it works."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

import pytest

from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.ledger.schema import LedgerRow
from pipeline.plan.plan import make_plan
from pipeline.records import Status
from pipeline.run.attempts import AttemptRegistry
from pipeline.shard import image_progress
from pipeline.shard.fused import FusedWorker
from pipeline.shard.image_progress import ImageProgress
from pipeline.shard.job import Job
from tests.support.job_runner import encoded, fill, photograph
from tests.support.ledger_parts import row


class Told(AttemptRegistry):
    """Keeps all reports."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[int, int]] = []

    def progress(self, shard_id: str, done: int, failed: int) -> None:
        super().progress(shard_id, done, failed)
        self.told.append((done, failed))


def ledger_row(status: Status) -> LedgerRow:
    return row("a.jpg", status, 1)


def test_what_is_being_written_is_not_done_and_reports_are_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(image_progress.time, "monotonic", lambda: clock[0])
    told = Told()
    progress = ImageProgress(told, "shard")
    writing: Future[LedgerRow] = Future()
    rows: list[LedgerRow | Future[LedgerRow]] = [ledger_row(Status.FAILED), writing]
    progress(rows)
    writing.set_result(ledger_row(Status.COLORIZED))
    progress(rows)
    clock[0] += 1
    progress(rows)
    assert told.told == [(1, 1), (2, 1)]


def test_a_shard_at_work_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_progress, "_SECONDS", 0.0)
    files = {f"{i}.jpg": encoded(photograph(i)) for i in range(4)} | {"0.jpg": b"\xff\xd8\xff\xe0 broken"}
    fill(str(tmp_path / "in"), files)
    config = load(JobConfig, None, ["model.side=64"])
    told = Told()
    worker = FusedWorker(Job(config, str(tmp_path / "in"), str(tmp_path / "out"), "run", "d", "w"), told)
    store = worker.shard_worker
    (shard,) = make_plan(store.reader.source, store.out, config, "d", workers=1).shards
    worker.run(shard.shard_id, shard.items)
    (at_work,) = told.at_work()
    assert (at_work.done, at_work.failed) == told.told[-1]
    worker.close()
    assert told.told[0] == (1, 1)
    assert len(told.told) == 4
    assert told.told == sorted(told.told)
    told.committed(shard.shard_id)
    assert told.at_work() == []
