"""The button that carries decisions out: one at a time, in a thread, while the page asks how far it is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from pipeline.cli import log
from pipeline.errors import FiatColorError
from pipeline.review.wishes import Apply, Cards


@dataclass(frozen=True)
class _State:
    state: Literal["idle", "running", "done", "failed"] = "idle"
    done: int = 0
    total: int = 0
    message: str = ""


class Applying:
    """Carries out the decisions when asked to, and says how far it is; any thread may ask.

    Args:
        apply: does the work.
        renew: takes the cards as they are afterwards.
    """

    def __init__(self, apply: Apply, renew: Callable[[Cards], None]) -> None:
        self._apply, self._renew = apply, renew
        self._state = _State()
        self._lock = threading.Lock()

    def start(self) -> bool:
        """Begin. False: it is at work already."""
        with self._lock:
            if self._state.state == "running":
                return False
            self._state = _State("running")
        threading.Thread(target=self._work, daemon=True).start()
        return True

    def state(self) -> dict[str, Any]:
        """state ("idle", "running", "done" or "failed"), done and total (images), message (for a person)."""
        return asdict(self._state)

    def _work(self) -> None:
        try:
            message, cards = self._apply(self._progress)
        except FiatColorError as error:
            self._state = replace(self._state, state="failed", message=" ".join(str(error).split()))
        except BaseException as error:
            self._state = replace(self._state, state="failed", message=f"a defect: {type(error).__name__}")
            raise
        else:
            self._renew(cards)
            self._state = replace(self._state, state="done", message=message)
        log.say("applied", self._state.message, level="info" if self._state.state == "done" else "warning")

    def _progress(self, done: int, total: int) -> None:
        self._state = replace(self._state, done=done, total=total)
