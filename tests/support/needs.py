"""What the running test may start: its markers `ray` and `s3` say so.

A test without the marker `ray` finds an address in RAY_ADDRESS where nothing answers, so that every job that
wants Ray fails, in this process and in its children.
"""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

#: Fixtures that start a server, and parameters with which a test asks for one of them.
SERVERS = {"s3_moto", "s3_ceph", "moto", "ceph", "s3", "bucket"}
#: The markers of what takes long to start.
NEEDS = {"ray", "s3"}
NO_RAY = "the-test-lacks-the-marker-ray.invalid:1"
#: What the tests of this process share and nothing but their end closes.
until_the_end = ExitStack()
atexit.register(until_the_end.close)  # for programs that are no tests

_allowed: set[str] = set(NEEDS)


def allowed(need: str) -> bool:
    """Whether the running test has this marker."""
    return need in _allowed


def require(need: str) -> None:
    """Raises RuntimeError where the running test lacks this marker."""
    if not allowed(need):
        raise RuntimeError(f"this test lacks the marker {need!r}: see tests/README.md")


@contextmanager
def needs_of(item: pytest.Item) -> Iterator[None]:
    """Allow what the markers of a test name, for as long as the block, fixtures included."""
    global _allowed
    before = _allowed
    _allowed = {need for need in NEEDS if item.get_closest_marker(need)}
    try:
        with pytest.MonkeyPatch.context() as patch:
            if "ray" in _allowed:
                patch.delenv("RAY_ADDRESS", raising=False)
            else:
                patch.setenv("RAY_ADDRESS", NO_RAY)
            yield
    finally:
        _allowed = before
