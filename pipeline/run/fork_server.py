"""The driver's side of the fork server (`pool_worker`), a process that has imported torch and forks workers.

Its imports take as long as the driver's own imports and planning, so `start_in_advance` starts it before
them.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection

from pipeline import child_python_path
from pipeline.codecs.isolated.exchange import open_exchange
from pipeline.engine.machine import KEEP_FREED_MEMORY

FORK, STOP = b"f", b"s"
# A worker uses one core, as with Ray, and a process with threads must not be forked.
_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # of pyarrow's jemalloc
}
_STDERR_BYTES = 300  # of its end, in a message


class ForkServer:
    """One process and the workers that it has forked; `close` ends them all.

    They form their own process group, so that Ctrl-C in a terminal reaches only the driver. All of them end
    when the driver dies, because the server's channel and each worker's socket close.
    """

    def __init__(self) -> None:
        self._stderr = open_exchange("fiat-color-workers")
        self._channel, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "pipeline.run.pool_worker", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                start_new_session=True,
                env={**os.environ, **KEEP_FREED_MEMORY, **_ONE_THREAD, "PYTHONPATH": child_python_path()},
            )

    @property
    def pid(self) -> int:
        """Process id of the server, the parent of all workers."""
        return self._process.pid

    def fork(self) -> Connection:
        """Fork one more worker, which waits for its `Job`; return the connection to it. If the server has
        died, the connection is closed."""
        ours, theirs = socket.socketpair()
        with theirs, suppress(ConnectionError):
            socket.send_fds(self._channel, [FORK], [theirs.fileno()])
        return Connection(ours.detach())

    def stop_workers(self) -> None:
        """Ask all workers to finish what they are writing and then exit."""
        with suppress(ConnectionError):
            self._channel.sendall(STOP)

    def last_words(self) -> str:
        """The last output of the processes on stderr."""
        size = os.fstat(self._stderr).st_size
        text = os.pread(self._stderr, _STDERR_BYTES, max(size - _STDERR_BYTES, 0)).decode("utf-8", "replace")
        return " ".join(text.split()) or "nothing on their standard error"

    def close(self) -> None:
        """Kill the remaining processes; may be called more than once."""
        self._channel.close()
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._stderr >= 0:
            os.close(self._stderr)
        self._stderr = -1


_waiting: list[ForkServer] = []


@contextmanager
def start_in_advance(wanted: bool = True) -> Iterator[None]:
    """Start a server in advance, while the block does other work; `take_server` returns it.

    If nobody takes the server, it ends with the block. Nested blocks start no second server.
    """
    if not wanted or _waiting:
        yield
        return
    _waiting.append(ForkServer())
    try:
        yield
    finally:
        dismiss()


def dismiss() -> None:
    """End a server that was started in advance and is not needed."""
    while _waiting:
        _waiting.pop().close()


@contextmanager
def take_server() -> Iterator[ForkServer]:
    """The server that was started in advance, or a new one; it ends with the block."""
    server = _waiting.pop() if _waiting else ForkServer()
    try:
        yield server
    finally:
        server.close()
