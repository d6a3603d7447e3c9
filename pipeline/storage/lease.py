"""A sign in a folder or bucket that a job is at work there, so that a second one leaves.

No lock: a bucket has none. Two that look in the same second may both go on; schedules do not.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pipeline.cli import log
from pipeline.errors import ObjectMissing, RunError, StorageError
from pipeline.storage import Store

SIGN = "at-work.json"
BEAT_SECONDS = 30.0
STALE_SECONDS = 180.0
"""Several beats, and clocks of two machines may differ."""
_LOOK_SECONDS = 2.0


@contextmanager
def at_work(store: Store) -> Iterator[None]:
    """Put the sign up, renew it while the block runs, take it down at its end, however that comes.

    Another machine's sign that is not old is watched until it is renewed, taken down or old: a job whose
    machine died goes on elsewhere without being started a third time.

    Raises RunError where another process put its sign up and is alive: it is of this machine and runs, or of
    another one and renews it. StorageError as the store does.
    """
    _refuse_another(store)
    _put(store)
    done = threading.Event()
    thread = threading.Thread(target=_renew, args=(store, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        store.delete(SIGN)


@dataclass(frozen=True)
class _Sign:
    """Who is at work, and when it last said so, in its own clock's seconds."""

    host: str
    process: int
    at: float


def _sign(store: Store) -> _Sign | None:
    try:
        sign = json.loads(store.get(SIGN).data)
        return _Sign(str(sign["host"]), int(sign["pid"]), float(sign["at"]))
    except ObjectMissing:
        return None
    except (ValueError, KeyError, TypeError):
        raise RunError(f"{store.uri}/{SIGN} is damaged: if nothing is at work there, delete it") from None


def _refuse_another(store: Store) -> None:
    first = sign = _sign(store)
    while sign is not None:
        here = sign.host == socket.gethostname()
        if (here and _runs(sign.process)) or sign != first:
            raise RunError(
                f"process {sign.process} on {sign.host} is at work at {store.uri}; "
                "wait for its end and run again"
            )
        if here or time.time() - sign.at >= STALE_SECONDS:
            return
        if sign is first:
            log.say(
                "waiting",
                f"process {sign.process} on {sign.host} was at work at {store.uri}: watching for a sign of "
                f"life, {STALE_SECONDS:.0f} s at most",
                stderr=True,
            )
        time.sleep(_LOOK_SECONDS)
        sign = _sign(store)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return process != os.getpid()


def _put(store: Store) -> None:
    sign = {"host": socket.gethostname(), "pid": os.getpid(), "at": time.time()}
    store.put(SIGN, json.dumps(sign).encode(), "application/json")


def _renew(store: Store, done: threading.Event) -> None:
    while not done.wait(BEAT_SECONDS):
        try:
            _put(store)
        except StorageError:  # the work meets the same store and fails by itself; one beat less does no harm
            continue
