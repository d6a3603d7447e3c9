"""What the running test may start, according to its markers.

For a test without the marker `ray`, RAY_ADDRESS has an address where nothing answers, so that every job that
needs Ray fails, in this process and in its children. Without a server marker, no socket of this process can
listen; without `job`, no process of the pool starts.
"""

from __future__ import annotations

import atexit
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

#: By marker: fixtures that start a server or a browser, and parameters with which a test asks for them.
FIXTURES = {
    "s3": {"s3_moto", "s3_ceph", "moto", "ceph", "s3", "bucket", "cloud_gcs", "cloud_azure", "gcs", "azure"},
    "server": {"chromium"},
}
#: The markers of what takes long to start.
NEEDS = {"ray", "s3", "server", "job"}
#: Words of a command that starts what wants one of these markers.
COMMANDS = {"--serve": ("server",), "pipeline.run.pool_worker": ("job", "ray")}
NO_RAY = "the-test-lacks-the-marker-ray.invalid:1"
#: What the tests of this process share and nothing but their end closes.
until_the_end = ExitStack()
atexit.register(until_the_end.close)  # for programs that are no tests

_allowed: set[str] = set(NEEDS)


def allowed(need: str) -> bool:
    """Whether the running test has this marker."""
    return need in _allowed


def require(*needs: str) -> None:
    """Raises RuntimeError if the running test has none of these markers."""
    if not _allowed & {*needs}:
        wanted = " or ".join(map(repr, needs))
        raise RuntimeError(f"this test lacks the marker {wanted}: see tests/README.md")


@contextmanager
def needs_of(item: pytest.Item) -> Iterator[None]:
    """Allow what the markers of a test name until the block ends, fixtures included."""
    global _allowed
    before = _allowed
    _allowed = {need for need in NEEDS if item.get_closest_marker(need)}
    try:
        with pytest.MonkeyPatch.context() as patch:
            if "ray" in _allowed:
                patch.delenv("RAY_ADDRESS", raising=False)
            else:
                patch.setenv("RAY_ADDRESS", NO_RAY)
            patch.setattr(socket.socket, "listen", _listen)
            yield
    finally:
        _allowed = before


def _listen(listener: socket.socket, *backlog: int) -> None:
    """Replaces `listen` while a test runs: it allows network sockets only with a marker."""
    if listener.family != socket.AF_UNIX:
        require("server", "s3", "ray")
    _listen_at_all(listener, *backlog)


_listen_at_all = socket.socket.listen


def _watch_commands(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook: refuses commands that the running test may not start."""
    if event == "subprocess.Popen" and isinstance(arguments[1], list | tuple):
        for word in arguments[1]:
            if needs := COMMANDS.get(str(word)):
                require(*needs)


sys.addaudithook(_watch_commands)
