"""The decisions below OUT; each access reads only the new ones."""

from __future__ import annotations

import threading

from pipeline.review.decisions import Decision, current_decisions, listed_decisions, read_decision_objects
from pipeline.storage import Store


class DecisionLog:
    """All decisions, of this person and of others. Thread-safe."""

    def __init__(self, out: Store) -> None:
        self._out = out
        self._by_key: dict[str, Decision] = {}
        self._lock = threading.Lock()

    def decisions(self) -> list[Decision]:
        """All decisions, sorted by time. Raises as `read_decisions`."""
        with self._lock:
            fresh = [info for info in listed_decisions(self._out) if info.key not in self._by_key]
            read = read_decision_objects(self._out, fresh)
            self._by_key.update((info.key, one) for info, one in zip(fresh, read, strict=True))
            return sorted(self._by_key.values(), key=lambda decision: (decision.when, decision.id))

    def current_decisions(self) -> dict[str, Decision]:
        """The current decision by source key. Raises as `read_decisions`."""
        return current_decisions(self.decisions())
