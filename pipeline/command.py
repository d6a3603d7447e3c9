"""What every job in `jobs/` does around its work: a user's mistake is one line and an exit status."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable

from pipeline.errors import FiatColorError


def exit_status(work: Callable[[], int | None]) -> int:
    """What `work` returns, 0 for None; of a FiatColorError its status, with one line on stderr."""
    try:
        return work() or 0
    except FiatColorError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status


def stop_on_sigterm() -> None:
    """A scheduler's SIGTERM ends the work as Ctrl-C does; call it after Ray has set its own handler."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)
