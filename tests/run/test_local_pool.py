"""The process pool, with real processes: workers that are killed, that hang, and that cannot write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pipeline.config.job import JobConfig, job_digest
from pipeline.config.loading import load
from pipeline.errors import RunError, StorageError
from pipeline.models.method_list import open_weights
from pipeline.plan.plan import Plan, make_plan
from pipeline.run import local_pool as module
from pipeline.run.attempts import AttemptRegistry
from pipeline.run.fork_server import ForkServer, dismiss, start_in_advance, take_server
from pipeline.run.local_pool import LocalPool, local_pool
from pipeline.shard.job import Job
from pipeline.storage import open_store
from tests.support.job_runner import encoded, fill, ledger, photograph

pytestmark = pytest.mark.job

POISON = "05.jpg"


def job_of(root: Path, *settings: str, files: int = 12) -> tuple[Job, Plan]:
    """A job over small photographs, of which one is larger, and its plan, in shards of three."""
    sizes = {f"{i:02d}.jpg": (96, 72) for i in range(files)} | {POISON: (2400, 1800)}
    fill(str(root / "in"), {key: encoded(photograph(i, *sizes[key])) for i, key in enumerate(sizes)})
    config = load(JobConfig, None, ["model.side=64", "plan.shard_images=3", *settings])
    opened = open_weights(None, None)
    digest = job_digest(config, opened.digest)
    source, out = open_store(str(root / "in"), config.storage), open_store(str(root / "out"), config.storage)
    plan = make_plan(source, out, config, digest, workers=1)
    return Job(config, source.uri, out.uri, "run", digest, opened.digest, "2026-01-01"), plan


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    """One for all: what takes long is its start."""
    with take_server() as server:
        yield server


def workers_of(server: ForkServer) -> list[psutil.Process]:
    """The workers that live."""
    children = psutil.Process(server.pid).children()
    return [child for child in children if child.status() != psutil.STATUS_ZOMBIE]


def test_a_killed_worker_is_replaced_and_its_shard_tried_again(tmp_path: Path, server: ForkServer) -> None:
    job, plan = job_of(tmp_path)
    pool = LocalPool(server, 2, AttemptRegistry())
    attempts: list[int] = []
    for result in pool.results(job, plan):
        if not attempts:  # who has sent it is at the next shard by now
            for worker in workers_of(server):
                worker.kill()
        attempts.append(result.attempt.number)
    pool.stop()
    assert psutil.Process(server.pid).num_threads() == 1  # it may be forked
    assert set(attempts) == {1, 2}
    assert [row["status"] for row in ledger(str(tmp_path / "out"))] == ["colorized"] * 12
    assert len(list((tmp_path / "out").glob("ledger/*/*.parquet"))) == 4


class Killing(AttemptRegistry):
    """Kills a worker as soon as it has taken a shard for the first time, or the poison alone."""

    def __init__(self, server: ForkServer) -> None:
        super().__init__()
        self.server = server

    def begin(self, shard_id: str) -> int:
        attempt = super().begin(shard_id)
        if attempt == 1:
            self._kill()
        return attempt

    def touch(self, shard_id: str, key: str) -> None:
        super().touch(shard_id, key)
        if key == POISON:
            self._kill()

    def _kill(self) -> None:
        for worker in workers_of(self.server):
            worker.kill()


def test_an_image_that_kills_its_worker_alone_is_failed(tmp_path: Path, server: ForkServer) -> None:
    job, plan = job_of(tmp_path, "limits.attempts=1", files=6)
    pool = LocalPool(server, 1, Killing(server))
    results = list(pool.results(job, plan))
    pool.stop()
    assert sorted(result.attempt.number for result in results) == [2, 3]
    rows = {row["key"]: (row["status"], row["failure_code"]) for row in ledger(str(tmp_path / "out"))}
    assert rows.pop(POISON) == ("failed", "worker_lost")
    assert set(rows.values()) == {("colorized", None)}


def test_a_shard_over_which_workers_die_for_ever_ends_the_run(tmp_path: Path, server: ForkServer) -> None:
    class Deadly(Killing):
        def begin(self, shard_id: str) -> int:
            self._kill()
            return AttemptRegistry.begin(self, shard_id)

    job, plan = job_of(tmp_path, "limits.attempts=1", files=1)
    pool = LocalPool(server, 1, Deadly(server))
    with pytest.raises(RunError, match=r"the run stopped: 5 workers died over one shard, from 00\.jpg to"):
        list(pool.results(job, plan))
    pool.stop()


def test_workers_that_do_not_start_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job, plan = job_of(tmp_path, files=1)
    monkeypatch.setenv("NUMBA_CACHE_LOCATOR_CLASSES", "nonsense")  # numba then refuses to be imported
    with (
        pytest.raises(RunError, match=r"workers exit before they start work: .*nonsense"),
        local_pool(1, AttemptRegistry()) as pool,
    ):
        list(pool.results(job, plan))


def test_a_worker_that_hangs_ends_the_run_and_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LEAVE_SECONDS", 0.2)
    job, plan = job_of(tmp_path)
    stopped: list[psutil.Process] = []

    def hang_after_the_first(pool: LocalPool) -> None:
        for _ in pool.results(job, plan):
            pool.stall_seconds = 1  # less than a user may ask for
            stopped.extend(workers_of(pool.server))
            stopped[0].suspend()

    with (
        pytest.raises(RunError, match="no progress for 1 s"),
        local_pool(1, AttemptRegistry()) as pool,
    ):
        hang_after_the_first(pool)
    assert len(stopped) == 1
    assert psutil.wait_procs(stopped, timeout=5)[1] == []
    assert not psutil.pid_exists(pool.server.pid)


def test_storage_that_cannot_be_written_ends_the_run_with_its_line(
    tmp_path: Path, server: ForkServer
) -> None:
    job, plan = job_of(tmp_path, files=6)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "ledger").write_text("no folder")
    pool = LocalPool(server, 2, AttemptRegistry())
    with pytest.raises(StorageError, match="out/ledger"):
        list(pool.results(job, plan))
    pool.stop()


def test_a_server_that_nobody_takes_ends_with_the_block() -> None:
    before = set(psutil.Process().children())
    with start_in_advance(), start_in_advance():
        (started,) = set(psutil.Process().children()) - before
    assert not started.is_running()
    with start_in_advance(), take_server() as server:
        assert server.pid in {child.pid for child in psutil.Process().children()}
    with start_in_advance():
        dismiss()
        assert set(psutil.Process().children()) == before
    with start_in_advance(wanted=False):
        assert set(psutil.Process().children()) == before
