"""SIGTERM and Ctrl-C end a command's work by KeyboardInterrupt, and never between a lock and its release."""

from __future__ import annotations

import _thread
import signal
import threading
import time
from types import FrameType

#: Methods of Python's threading in which an exception leaves a lock held for ever: the `with` that called
#: them has not begun, or has ended. Pools and queues are made of them; the end of a pool then waits for
#: threads that wait for the lock. Of a plain lock Python takes care itself.
_HOLDING = {
    method.__code__
    for method in (
        threading.Condition.__enter__,
        threading.Condition.__exit__,
        threading.Condition._acquire_restore,  # type: ignore[attr-defined]
        threading.Condition._release_save,  # type: ignore[attr-defined]
    )
}
_AGAIN_SECONDS = 0.01


def stop_on_signals() -> None:
    """A scheduler's SIGTERM and Ctrl-C end the work by KeyboardInterrupt.

    Ray sets a handler of its own when it starts: call this again after that. A SIGINT that is ignored, as
    that of a shell's background job, stays so. In other threads than the main one this does nothing: Python
    lets them set no handler.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    signal.signal(signal.SIGTERM, _stop)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt; while a lock is taken or released, ask again a moment later."""
    while frame is not None:
        if frame.f_code in _HOLDING:
            # not threading.Timer, whose start would take locks of threading's own
            _thread.start_new_thread(_send_again, (number,))
            return
        frame = frame.f_back
    raise KeyboardInterrupt


def _send_again(number: int) -> None:
    time.sleep(_AGAIN_SECONDS)
    signal.pthread_kill(threading.main_thread().ident or 0, number)
