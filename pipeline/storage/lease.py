"""A lease on a folder or bucket prefix. Only one job works there; a second one learns who holds it.

The lease is a series of numbered objects, `at-work-00000001.json` and so on. The process that creates the
next number with a conditional write holds the lease, so exactly one of many wins, on every store that
supports writing an object only if it does not exist. The holder renews its own object, whose key no other
process ever writes.
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
"""Several renewals: a holder that has not renewed for this long is considered dead."""
_LOOK_SECONDS = 2.0


class LeaseRecord(BaseModel):
    """The content of a lease object: the holder, the start, and the last renewal by the holder's clock."""

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
        """Whether the holder is alive; None if it is on another machine, whose processes we cannot see."""
        if self.machine != this_machine():
            return None
        return is_alive(self.process, self.process_started)


class Lease:
    """A lease that this process holds until the `hold_lease` block ends."""

    def __init__(
        self, store: Store, folder: str, number: int, sign: LeaseRecord, before: LeaseRecord | None
    ) -> None:
        self._store, self._folder, self._number, self._sign = store, folder, number, sign
        self._before = before
        self._renewed = _since_boot()
        self._lost: str | None = None
        self._done = threading.Event()

    def follows_another_since(self, start: float) -> bool:
        """Whether another process may have held the lease after `start` (seconds since 1970, by our clock).

        If the other process ended on this machine, the time in its record is by the same clock and exact."""
        before = self._before
        if before is None:
            return False
        is_exact = before.ended and before.machine == this_machine()
        return before.at > (start if is_exact else start - STALE_SECONDS)

    @property
    def follows_a_death(self) -> bool:
        """Whether the previous holder never recorded the end of its work."""
        return self._before is not None and not self._before.ended

    def check(self) -> None:
        """Raise RunError if another process has taken the lease, as it may after STALE_SECONDS of silence.

        Sends a request only if the last renewal is older than two intervals.
        """
        if _since_boot() - self._renewed > 2 * BEAT_SECONDS:
            self._renew()
        if self._lost:
            raise RunError(self._lost)

    def renew_until_done(self) -> None:
        """Renew the lease every BEAT_SECONDS; runs in a thread."""
        while not self._done.wait(BEAT_SECONDS):
            try:
                self._renew()
            except StorageError:  # the work uses the same store and will fail by itself
                continue

    def stop_renewing(self) -> None:
        """Start no further renewal."""
        self._done.set()

    def end(self) -> None:
        """Record that the work has ended, so that the next process need not wait for the lease to go stale.

        Call this when no renewal is in progress: a later one would record that the work continues.
        """
        if self._newest() != self._number:
            return
        try:
            self._put(ended=True)
        except StorageError:  # e.g. a full disk: deleting needs no space
            self._store.delete(lease_key(self._folder, self._number))

    def _renew(self) -> None:
        if self._newest() != self._number:
            self._lost = (
                f"another process has taken over at {self._store.uri}, because this one did not respond "
                f"for {STALE_SECONDS / 60:.0f} minutes; committed work stays, and the other process continues"
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
def hold_lease(store: Store, folder: str = "", *, what: str = "a job", wait: float = 0.0) -> Iterator[Lease]:
    """Hold the lease of `folder` (a key prefix that ends in "/", or "") while the block runs.

    The lease of a dead holder is taken over: immediately if it was a process of this machine; if it was on
    another machine, when nobody has renewed the lease for STALE_SECONDS and we have watched for at least
    three intervals, because the two clocks may differ.

    Args:
        what: the work, for the message that a second job prints, e.g. "run 20260101T120000Z-1a2b".
        wait: seconds to wait for a live holder to end.

    Raises:
        RunError: a live process holds it; the message says which and since when.
        StorageError: as the store does.
    """
    now = time.time()
    me = LeaseRecord(
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
        with suppress(StorageError):  # the lease of a dead holder is taken over anyway
            lease.end()


_JSON = "application/json"


def _since_boot() -> float:
    """Seconds of a clock that keeps running while the machine sleeps. `time.monotonic` stops then, and the
    holder would not notice that another machine has taken over."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _acquire(store: Store, folder: str, me: LeaseRecord, deadline: float) -> tuple[int, LeaseRecord | None]:
    """The number of our new lease, and the record of the previous holder."""
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
            if sign is None or sign.token != me.token:  # another process was first, or an answer was lost
                continue
        numbers = _numbers(store, folder)
        for older in (n for n in numbers if n < mine):
            store.delete(lease_key(folder, older))
        if max(numbers) == mine:
            return mine, before
        store.delete(lease_key(folder, mine))  # a number that was taken, ended and removed while we looked


def _when_free(store: Store, folder: str, number: int, deadline: float) -> LeaseRecord | None:
    """Wait until the newest lease has ended or its holder is dead. None if the lease is gone: then try again.

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


def _is_dead(sign: LeaseRecord, silent: float) -> bool:
    """Whether a holder on another machine is dead: no renewal in `silent` seconds, or long before."""
    old = time.time() - sign.at >= STALE_SECONDS  # compares two clocks: not sufficient alone
    return silent >= (3 * BEAT_SECONDS if old else STALE_SECONDS)


def _waiting(store: Store, sign: LeaseRecord, alive: bool | None) -> str:
    name = f"{sign.what} (process {sign.process} on {sign.host})"
    if alive:
        return f"{name} is using {store.uri}: waiting for it to end"
    return f"{name} was using {store.uri}: waiting up to {STALE_SECONDS:.0f} s for a sign of life"


def _refusal(store: Store, sign: LeaseRecord) -> str:
    since = datetime.fromtimestamp(sign.since, UTC)
    return (
        f"{sign.what} has been using {store.uri} since {since:%Y-%m-%d %H:%M:%S} UTC "
        f"(process {sign.process} on {sign.host}); wait until it ends and run again"
    )


def _numbers(store: Store, folder: str) -> list[int]:
    start = folder + NAME
    names = (info.key.removeprefix(start).removesuffix(".json") for info in store.list(start))
    return [int(name) for name in names if name.isdecimal()]


def lease_key(folder: str, number: int) -> str:
    """The key of the lease object with this number."""
    return f"{folder}{NAME}{number:08d}.json"


def _read(store: Store, folder: str, number: int) -> LeaseRecord | None:
    """The record; None if it is gone because a newer one replaced it."""
    try:
        return LeaseRecord.model_validate_json(store.get(lease_key(folder, number)).data)
    except ObjectMissing:
        return None
    except ValidationError:
        key = f"{store.uri}/{lease_key(folder, number)}"
        raise RunError(f"{key} is damaged; if nothing is working there, delete it") from None
