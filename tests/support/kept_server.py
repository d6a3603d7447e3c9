"""One fork server for many jobs of a pytest process: imports take most of the start of such a job."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.run.fork_server import ForkServer
from tests.support.needs import until_the_end

_kept: dict[str, KeptServer] = {}


class KeptServer(ForkServer):
    """Keeps running when a job closes it. By then its workers have ended: each was forked for that job."""

    def __init__(self) -> None:
        self.surroundings = _surroundings()
        super().__init__()

    def lives(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        self.stop_workers()

    def end(self) -> None:
        super().close()


def lend() -> KeptServer:
    """The running server; a new one if the environment or the folder has changed."""
    kept = _kept.get("server")
    if kept is None or not kept.lives() or kept.surroundings != _surroundings():
        if kept is None:
            until_the_end.callback(lambda: _kept["server"].end())
        else:
            kept.end()
        _kept["server"] = kept = KeptServer()
    return kept


def _surroundings() -> tuple[str, dict[str, str]]:
    changes = ("PYTEST_CURRENT_TEST", "RAY_ADDRESS")  # from test to test; the pool's workers read neither
    return str(Path.cwd()), {name: value for name, value in os.environ.items() if name not in changes}
