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

from pipeline.errors import ObjectMissing, RunError, StorageError
from pipeline.storage import Store

SIGN = "at-work.json"
BEAT_SECONDS = 30.0
STALE_SECONDS = 180.0
"""Several beats, and clocks of two machines may differ."""


@contextmanager
def at_work(store: Store) -> Iterator[None]:
    """Put the sign up, renew it while the block runs, take it down at its end, however that comes.

    Raises RunError where another process put its sign up and may be alive: it is of this machine and runs, or
    of another one and not old. StorageError as the store does.
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


def _refuse_another(store: Store) -> None:
    try:
        sign = json.loads(store.get(SIGN).data)
        host, process, age = str(sign["host"]), int(sign["pid"]), time.time() - float(sign["at"])
    except ObjectMissing:
        return
    except (ValueError, KeyError, TypeError):
        raise RunError(f"{store.uri}/{SIGN} is damaged: if nothing is at work there, delete it") from None
    here = host == socket.gethostname()
    if (here and _runs(process)) or (not here and age < STALE_SECONDS):
        raise RunError(
            f"process {process} on {host} is at work at {store.uri}; wait for its end (where it was killed, "
            f"{STALE_SECONDS:.0f} s) and run again"
        )


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
