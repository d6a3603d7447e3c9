"""SIGTERM and Ctrl-C interrupt the work, and leave no lock of a pool or queue held."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from pipeline.cli.interrupt import stop_on_signals

SIGNALS = [signal.SIGTERM, signal.SIGINT]


class SignallingLock:
    """A lock that gets a signal at the worst moment: as soon as it is held, or before it is released."""

    def __init__(self, number: int, *, on_exit: bool) -> None:
        self.number, self.on_exit, self._lock = number, on_exit, threading.Lock()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        return self._lock.acquire(blocking, timeout)

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> None:
        self._lock.acquire()
        if not self.on_exit:
            signal.raise_signal(self.number)

    def __exit__(self, *error: object) -> None:
        if self.on_exit:
            signal.raise_signal(self.number)
        self._lock.release()


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    stop_on_signals()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_interrupts_what_waits(number: int) -> None:
    threading.Timer(0.05, signal.pthread_kill, (threading.main_thread().ident, number)).start()
    with pytest.raises(KeyboardInterrupt):
        threading.Event().wait(30)


@pytest.mark.parametrize("on_exit", [False, True], ids=["taking", "releasing"])
@pytest.mark.parametrize("number", SIGNALS)
def test_a_lock_that_is_taken_or_released_meanwhile_is_not_left_held(number: int, on_exit: bool) -> None:
    lock = SignallingLock(number, on_exit=on_exit)
    condition, reached = threading.Condition(lock), False  # type: ignore[arg-type]  # as pools and queues have
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        with condition:
            reached = True
        time.sleep(30)
    assert reached
    assert lock.acquire(blocking=False)


def test_an_ignored_ctrl_c_stays_ignored() -> None:
    """So a shell starts what runs in its background."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop_on_signals()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_another_thread_sets_no_handler() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    thread = threading.Thread(target=stop_on_signals)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
