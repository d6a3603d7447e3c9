"""Apply decisions in a thread at the press of a button, once at a time; the page polls the state."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from pipeline.cli import log
from pipeline.errors import FiatColorError
from pipeline.review.page_requests import Apply, Cards


@dataclass(frozen=True)
class _State:
    state: Literal["idle", "running", "done", "failed"] = "idle"
    seconds: float = 0.0
    message: str = ""


class DecisionRunner:
    """Applies the decisions on request and reports the state. Thread-safe.

    Args:
        apply: does the work.
        renew: receives the new cards afterwards.
    """

    def __init__(self, apply: Apply, renew: Callable[[Cards], None]) -> None:
        self._apply, self._renew = apply, renew
        self._state, self._began = _State(), 0.0
        self._lock = threading.Lock()

    def start(self) -> bool:
        """Start. Returns False if it is already running."""
        with self._lock:
            if self._state.state == "running":
                return False
            self._state, self._began = _State("running"), time.monotonic()
        threading.Thread(target=self._work, daemon=True).start()
        return True

    def state(self) -> dict[str, Any]:
        """state ("idle", "running", "done" or "failed"), seconds since it began, message (for a person)."""
        return asdict(replace(self._state, seconds=time.monotonic() - self._began))

    def _work(self) -> None:
        try:
            message, cards = self._apply()
        except FiatColorError as error:
            self._state = replace(self._state, state="failed", message=" ".join(str(error).split()))
        except BaseException as error:
            self._state = replace(self._state, state="failed", message=f"a bug: {type(error).__name__}")
            raise
        else:
            self._renew(cards)
            self._state = replace(self._state, state="done", message=message)
        log.say("applied", self._state.message, level="info" if self._state.state == "done" else "warning")
