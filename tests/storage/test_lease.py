"""The lease: of many that try, one wins; others learn who holds it; a dead holder's lease is taken over."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.config.storage import StorageConfig
from pipeline.errors import RunError
from pipeline.storage import Store, lease, open_store
from pipeline.storage.lease import LeaseRecord, hold_lease
from tests.support.leases import ELSEWHERE, hold, sign_of

BEAT = 0.1


@pytest.fixture(autouse=True)
def a_short_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """All times of a lease a few hundredths of what they are in a job."""
    monkeypatch.setattr(lease, "BEAT_SECONDS", BEAT)
    monkeypatch.setattr(lease, "STALE_SECONDS", 10 * BEAT)
    monkeypatch.setattr(lease, "_LOOK_SECONDS", BEAT / 5)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path), StorageConfig())


def test_the_lease_lies_in_its_folder_and_ends_with_the_work(store: Store) -> None:
    with hold_lease(store, "runs/", what="run 2") as held:
        [name] = [info.key for info in store.list()]
        assert name == "runs/at-work-00000001.json"
        held.check()
        refusal = r"run 2 has been using .* since 20.* \(process \d+ on "
        with pytest.raises(RunError, match=refusal), hold_lease(store, "runs/"):
            pass
        with hold_lease(store, "other/"):
            pass
    with hold_lease(store, "runs/"):
        pass
    assert [info.key for info in store.list("runs/")] == ["runs/at-work-00000002.json"]


@pytest.mark.parametrize(
    ("before", "follows"),
    [
        ({"ended": True, "at": -0.5}, False),
        ({"ended": True, "at": 1}, True),
        ({"ended": True, "at": -0.5, "machine": "elsewhere"}, True),  # whose clock may differ
        ({"at": -0.5, "process_started": 0}, True),  # killed, after its last word
        ({"ended": True, "at": -lease.STALE_SECONDS - 1, "machine": "elsewhere"}, False),
    ],
    ids=["ended before", "ended after", "elsewhere", "killed", "elsewhere, long ago"],
)
def test_a_plan_holds_where_nobody_was_at_work_since(store: Store, before: dict, follows: bool) -> None:
    start = time.time()
    mine = sign_of(1).model_copy(update=before | {"at": start + before["at"]})
    hold(store, mine)
    with hold_lease(store) as held:
        assert held.follows_another_since(start) == follows


def test_a_second_one_waits_where_it_is_told_to(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    order: list[str] = []

    def first(started: threading.Event) -> None:
        with hold_lease(store, what="the first"):
            started.set()
            time.sleep(3 * BEAT)
            order.append("first")

    started = threading.Event()
    thread = threading.Thread(target=first, args=(started,))
    thread.start()
    started.wait()
    with hold_lease(store, wait=60):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]
    assert "the first (process" in capsys.readouterr().err


def test_a_process_of_this_machine_is_alive_or_not_at_once(store: Store) -> None:
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    alive = sign_of(other.pid)
    hold(store, alive)
    with pytest.raises(RunError, match=f"process {other.pid} on elsewhere"), hold_lease(store):
        pass
    # another process, which got the number of one that is dead
    hold(store, alive.model_copy(update={"process_started": alive.process_started - 5}))
    with hold_lease(store):
        pass
    hold(store, alive, number=3)
    other.communicate(b"\n")
    with hold_lease(store):
        pass


def test_another_machine_that_renews_its_lease_is_alive(store: Store, capsys) -> None:
    ended = threading.Event()

    def beat() -> None:
        for number in itertools.count():  # a clock that is wrong is no death
            hold(store, ELSEWHERE.model_copy(update={"at": time.time() + number}))
            if ended.wait(BEAT / 2):
                return

    hold(store, ELSEWHERE)
    alive = threading.Thread(target=beat)
    alive.start()
    with (
        pytest.raises(RunError, match=r"run 1 has been using .* since 2026-01-01 00:00:00 UTC"),
        hold_lease(store),
    ):
        pass
    ended.set()
    alive.join()
    assert "s for a sign of life" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(("age", "least"), [(60.0, 3 * BEAT), (0.0, 10 * BEAT), (-60.0, 10 * BEAT)])
def test_another_machine_that_is_silent_is_dead(store: Store, age: float, least: float) -> None:
    hold(store, ELSEWHERE.model_copy(update={"at": time.time() - age}))
    started = time.monotonic()
    with hold_lease(store):
        assert least <= time.monotonic() - started < least + 5


def test_another_machine_that_says_that_it_ended_has_ended(store: Store) -> None:
    hold(store, ELSEWHERE.model_copy(update={"at": time.time(), "ended": True}))
    with hold_lease(store):
        pass


def test_a_holder_that_was_silent_learns_that_it_was_replaced(store: Store) -> None:
    with hold_lease(store) as held:
        held.check()
        hold(store, ELSEWHERE, number=2)
        time.sleep(3 * BEAT)
        with pytest.raises(RunError, match="another process has taken over at"):
            held.check()
    # and it leaves the other one's lease alone
    assert not LeaseRecord.model_validate_json(store.get("at-work-00000002.json").data).ended


def test_a_damaged_lease_is_one_line(store: Store) -> None:
    store.put("at-work-00000001.json", b"{}")
    with (
        pytest.raises(
            RunError, match=r"at-work-00000001.json is damaged; if nothing is working there, delete"
        ),
        hold_lease(store),
    ):
        pass


@pytest.mark.parametrize("kind", ["folder", "moto", "ceph"])
@pytest.mark.parametrize("before", ["nothing", "dead", "ended"])
def test_of_sixteen_that_race_one_wins(kind: str, before: str, tmp_path: Path, request) -> None:
    if kind == "folder":
        store = open_store(str(tmp_path), StorageConfig())
    else:
        server = request.getfixturevalue(f"s3_{kind}")
        store = open_store(f"s3://{server.bucket()}/out", server.storage_config)
    if before != "nothing":
        hold(store, ELSEWHERE.model_copy(update={"ended": before == "ended"}), number=7, folder="runs/")
    gate, over, inside = threading.Barrier(16), threading.Event(), []

    def race(number: int) -> bool:
        gate.wait()
        try:
            with hold_lease(store, "runs/"):
                inside.append(number)
                over.wait(60)
                return True
        except RunError:
            return False

    with ThreadPoolExecutor(16) as pool:
        racers = [pool.submit(race, number) for number in range(16)]
        while sum(racer.done() for racer in racers) < 15:
            time.sleep(0.01)
            assert len(inside) <= 1
        over.set()
    assert sum(racer.result() for racer in racers) == 1


def test_a_machine_that_slept_looks_for_a_successor_before_it_goes_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own beat is still to come: without a look it would commit as if nobody else were at work."""
    monkeypatch.setattr(lease, "BEAT_SECONDS", 60.0)
    awake = time.clock_gettime
    with hold_lease(store) as held:
        hold(store, sign_of(1), 2)
        held.check()  # a moment after the last renewal: costs no request
        monkeypatch.setattr(time, "clock_gettime", lambda clock: awake(clock) + 3600)
        with pytest.raises(RunError, match="another process has taken over"):
            held.check()


def test_a_renewal_that_is_on_its_way_does_not_undo_the_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the next one waits for a holder that has ended, or is refused."""
    put, on_its_way, arrives = type(store).put, threading.Event(), threading.Event()

    def slow_put(self: Store, key: str, data: bytes, content_type: str | None = None) -> None:
        if threading.current_thread() is not threading.main_thread():
            on_its_way.set()
            assert arrives.wait(30)
        put(self, key, data, content_type)

    monkeypatch.setattr(type(store), "put", slow_put)
    with hold_lease(store):
        assert on_its_way.wait(30)
        threading.Timer(3 * BEAT, arrives.set).start()
    [name] = [info.key for info in store.list()]
    assert LeaseRecord.model_validate_json(store.get(name).data).ended
