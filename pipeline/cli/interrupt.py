"""Make SIGTERM and Ctrl-C raise KeyboardInterrupt, but never while a lock is being taken or released."""

from __future__ import annotations

import _thread
import signal
import threading
import time
from types import FrameType

#: Methods of `threading` in which an exception leaves a lock held for ever, because the calling `with` has
#: not begun or has already ended. Pools and queues use them, and closing a pool would then wait for threads
#: that wait for the lock. Python itself protects plain locks.
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
    """Make a scheduler's SIGTERM and Ctrl-C raise KeyboardInterrupt in the work.

    Ray installs its own handler when it starts, so call this again afterwards. If SIGINT is ignored, as in a
    shell's background job, it stays ignored. Outside the main thread this does nothing, because Python does
    not let other threads set handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    signal.signal(signal.SIGTERM, _stop)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt. While a lock is being taken or released, send the signal again later."""
    while frame is not None:
        if frame.f_code in _HOLDING:
            # not threading.Timer: starting one takes locks of `threading`
            _thread.start_new_thread(_send_again, (number,))
            return
        frame = frame.f_back
    raise KeyboardInterrupt


def _send_again(number: int) -> None:
    time.sleep(_AGAIN_SECONDS)
    signal.pthread_kill(threading.main_thread().ident or 0, number)
