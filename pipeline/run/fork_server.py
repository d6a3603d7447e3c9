"""The driver's side of the fork server (`pool_worker`): a process that has imported torch, and forks workers.

Its imports take as long as the driver's own and its planning. `ahead` therefore starts it before them.
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
# A worker has one core, as with Ray; and a process with threads is not to be forked.
_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # of pyarrow's jemalloc
}
_STDERR_BYTES = 300  # of its end, in a message


class ForkServer:
    """One process and the workers that it has forked; `close` ends them all.

    They are a process group of their own, so that a terminal's Ctrl-C reaches the driver alone. All of them
    end when the driver dies: the server's channel closes, and each worker's socket.
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
        """The connection to one more worker, which waits for its `Job`. Where the server has died, the
        connection is at its end."""
        ours, theirs = socket.socketpair()
        with theirs, suppress(ConnectionError):
            socket.send_fds(self._channel, [FORK], [theirs.fileno()])
        return Connection(ours.detach())

    def stop_workers(self) -> None:
        """Ask all workers to end, when they have written what they are writing."""
        with suppress(ConnectionError):
            self._channel.sendall(STOP)

    def last_words(self) -> str:
        """The end of what the processes have printed."""
        size = os.fstat(self._stderr).st_size
        text = os.pread(self._stderr, _STDERR_BYTES, max(size - _STDERR_BYTES, 0)).decode("utf-8", "replace")
        return " ".join(text.split()) or "nothing on their standard error"

    def close(self) -> None:
        """Kill what is left of them; may be called more than once."""
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
def ahead(wanted: bool = True) -> Iterator[None]:
    """Let a server start while the block does something else; `taken` hands it out. One that nobody takes
    ends with the block. A block within another starts no second one."""
    if not wanted or _waiting:
        yield
        return
    _waiting.append(ForkServer())
    try:
        yield
    finally:
        dismiss()


def dismiss() -> None:
    """End a server that started ahead: nobody wants it any more."""
    while _waiting:
        _waiting.pop().close()


@contextmanager
def taken() -> Iterator[ForkServer]:
    """The server that started ahead, or another; it ends with the block."""
    server = _waiting.pop() if _waiting else ForkServer()
    try:
        yield server
    finally:
        server.close()
