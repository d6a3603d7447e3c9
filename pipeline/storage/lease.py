"""A lease on a folder or bucket prefix: one job works there, and a second learns who and since when.

The lease is a row of numbered objects, `at-work-00000001.json` and so on. Whoever creates the next number
with a conditional write has the lease, so of many that try one wins, on every store that can write an object
only where there is none. The holder renews its own object, whose key nobody else ever writes.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from uuid import uuid4

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.cli import log
from pipeline.errors import AlreadyExists, ObjectMissing, RunError, StorageError
from pipeline.storage.base import Store
from pipeline.storage.machine import is_alive, this_machine

NAME = "at-work-"
BEAT_SECONDS = 30.0
STALE_SECONDS = 180.0
"""Several beats: a holder that was silent for so long is taken for dead."""
_LOOK_SECONDS = 2.0


class Sign(BaseModel):
    """What a lease's object says: the holder, since when, and the last renewal by the holder's clock."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    token: str
    what: str
    host: str
    machine: str
    process: int
    process_started: float
    since: float
    at: float
    ended: bool = False

    def runs_here(self) -> bool | None:
        """Whether the holder is alive; None where it is of another machine, whose processes we cannot see."""
        if self.machine != this_machine():
            return None
        return is_alive(self.process, self.process_started)


class Lease:
    """A lease that this process holds, until `at_work` ends."""

    def __init__(self, store: Store, folder: str, number: int, sign: Sign, before: Sign | None) -> None:
        self._store, self._folder, self._number, self._sign = store, folder, number, sign
        self._before = before
        self._renewed = _since_boot()
        self._lost: str | None = None
        self._done = threading.Event()

    def follows_another_since(self, start: float) -> bool:
        """Whether another one may have held the lease after `start` (seconds since 1970, of this clock).

        Where the other one ended on this machine, its last word is by the same clock, and says when."""
        before = self._before
        if before is None:
            return False
        is_exact = before.ended and before.machine == this_machine()
        return before.at > (start if is_exact else start - STALE_SECONDS)

    @property
    def follows_a_death(self) -> bool:
        """Whether the one before has never said that its work had ended."""
        return self._before is not None and not self._before.ended

    def check(self) -> None:
        """Raise RunError where another process has taken the lease, as it may after STALE_SECONDS of silence.

        Costs a request only where the last renewal is older than that of two beats.
        """
        if _since_boot() - self._renewed > 2 * BEAT_SECONDS:
            self._renew()
        if self._lost:
            raise RunError(self._lost)

    def renew_until_done(self) -> None:
        """Renew it every BEAT_SECONDS; runs in a thread."""
        while not self._done.wait(BEAT_SECONDS):
            try:
                self._renew()
            except StorageError:  # the work meets the same store and fails by itself
                continue

    def stop_renewing(self) -> None:
        """Begin no other renewal."""
        self._done.set()

    def end(self) -> None:
        """Say that the work has ended, so that the next one need not wait for silence.

        To be called when no renewal is on its way: one that comes later would say that the work goes on.
        """
        if self._newest() != self._number:
            return
        try:
            self._put(ended=True)
        except StorageError:  # a full disk, say: to delete takes no space
            self._store.delete(lease_key(self._folder, self._number))

    def _renew(self) -> None:
        if self._newest() != self._number:
            self._lost = (
                f"another process has taken over at {self._store.uri}, for this one was silent for "
                f"{STALE_SECONDS / 60:.0f} minutes; what was committed stays, and the other one goes on"
            )
            self._done.set()
            return
        self._put()
        self._renewed = _since_boot()

    def _newest(self) -> int:
        return max(_numbers(self._store, self._folder), default=0)

    def _put(self, *, ended: bool = False) -> None:
        sign = self._sign.model_copy(update={"at": time.time(), "ended": ended})
        self._store.put(lease_key(self._folder, self._number), sign.model_dump_json().encode(), _JSON)


@contextmanager
def at_work(store: Store, folder: str = "", *, what: str = "a job", wait: float = 0.0) -> Iterator[Lease]:
    """Hold the lease of `folder` (a key prefix that ends in "/", or "") while the block runs.

    The lease of a dead holder is taken over: at once where it was a process of this machine; where it was
    another machine's, when nothing has renewed it for STALE_SECONDS, of which we watched three beats at
    least, for two clocks may differ.

    Args:
        what: the work, for the message that a second job prints: "run 20260101T120000Z-1a2b", say.
        wait: seconds to wait for a living holder's end.

    Raises:
        RunError: another process holds it and is alive; the message says which and since when.
        StorageError: as the store does.
    """
    now = time.time()
    me = Sign(
        token=uuid4().hex,
        what=what,
        host=socket.gethostname(),
        machine=this_machine(),
        process=os.getpid(),
        process_started=psutil.Process().create_time(),
        since=now,
        at=now,
    )
    number, before = _acquire(store, folder, me, time.monotonic() + wait)
    lease = Lease(store, folder, number, me, before)
    thread = threading.Thread(target=lease.renew_until_done, daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        lease.stop_renewing()
        thread.join()
        with suppress(StorageError):  # the work meets the same store; a dead holder is succeeded
            lease.end()


_JSON = "application/json"


def _since_boot() -> float:
    """Seconds of a clock that goes on while the machine sleeps; `time.monotonic` stands still then, and the
    holder would not see that another machine has taken over meanwhile."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _acquire(store: Store, folder: str, me: Sign, deadline: float) -> tuple[int, Sign | None]:
    """The number of the lease that is ours now, and the sign of who had it before."""
    while True:
        number = max(_numbers(store, folder), default=0)
        before = _when_free(store, folder, number, deadline) if number else None
        if number and before is None:
            continue
        mine, now = number + 1, time.time()
        me = me.model_copy(update={"since": now, "at": now})
        try:
            store.put_if_absent(lease_key(folder, mine), me.model_dump_json().encode(), _JSON)
        except AlreadyExists:
            sign = _read(store, folder, mine)
            if sign is None or sign.token != me.token:  # another was first; else an answer was lost
                continue
        numbers = _numbers(store, folder)
        for older in (n for n in numbers if n < mine):
            store.delete(lease_key(folder, older))
        if max(numbers) == mine:
            return mine, before
        store.delete(lease_key(folder, mine))  # a number that was taken, ended and removed while we looked


def _when_free(store: Store, folder: str, number: int, deadline: float) -> Sign | None:
    """The newest lease, when it has ended or its holder is dead; None where it is gone: then look again.

    Raises:
        RunError: its holder is alive, and the deadline (of time.monotonic) has passed.
    """
    sign, changed, beaten, announced = _read(store, folder, number), time.monotonic(), False, False
    while sign is not None:
        alive, silent = sign.runs_here(), time.monotonic() - changed
        if sign.ended or alive is False or (alive is None and _is_dead(sign, silent)):
            return sign
        if (alive or beaten) and time.monotonic() >= deadline:
            raise RunError(_refusal(store, sign))
        if not announced:
            announced = True
            log.say("waiting", _waiting(store, sign, alive), stderr=True)
        time.sleep(_LOOK_SECONDS)
        before, sign = sign, _read(store, folder, number)
        if sign != before:
            changed, beaten = time.monotonic(), True
    return None


def _is_dead(sign: Sign, silent: float) -> bool:
    """Of a holder on another machine: no renewal for `silent` seconds of our watching, or long before it."""
    old = time.time() - sign.at >= STALE_SECONDS  # by two clocks: not enough alone
    return silent >= (3 * BEAT_SECONDS if old else STALE_SECONDS)


def _waiting(store: Store, sign: Sign, alive: bool | None) -> str:
    name = f"{sign.what} (process {sign.process} on {sign.host})"
    if alive:
        return f"{name} is at work at {store.uri}: waiting for its end"
    return f"{name} was at work at {store.uri}: watching for a sign of life, {STALE_SECONDS:.0f} s at most"


def _refusal(store: Store, sign: Sign) -> str:
    since = datetime.fromtimestamp(sign.since, UTC)
    return (
        f"{sign.what} is at work at {store.uri} since {since:%Y-%m-%d %H:%M:%S} UTC "
        f"(process {sign.process} on {sign.host}); wait for its end and run again"
    )


def _numbers(store: Store, folder: str) -> list[int]:
    start = folder + NAME
    names = (info.key.removeprefix(start).removesuffix(".json") for info in store.list(start))
    return [int(name) for name in names if name.isdecimal()]


def lease_key(folder: str, number: int) -> str:
    """Where the lease of a number stands."""
    return f"{folder}{NAME}{number:08d}.json"


def _read(store: Store, folder: str, number: int) -> Sign | None:
    """None where it is gone: a newer one has taken its place."""
    try:
        return Sign.model_validate_json(store.get(lease_key(folder, number)).data)
    except ObjectMissing:
        return None
    except ValidationError:
        key = f"{store.uri}/{lease_key(folder, number)}"
        raise RunError(f"{key} is damaged: if nothing is at work there, delete it") from None
