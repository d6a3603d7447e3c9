"""A child process that decodes under limits, so that a hostile file costs one image but never the worker.

Limits: address space (RLIMIT_AS), wall clock (the parent kills), CPU seconds (RLIMIT_CPU). The child ends
with its parent. It is not a sandbox: it runs with this user's permissions.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

from pipeline import child_python_path
from pipeline.codecs.isolated.exchange import open_exchange
from pipeline.codecs.isolated.limits import READY
from pipeline.errors import FailureCode, ImageFailure, RunError

# A loaded machine took several seconds to start Python; after a minute it never will.
_START_SECONDS = 60.0
_STDERR_BYTES = 300  # of its end, in a message
# One thread, so that the address space stays small.
_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "VIPS_CONCURRENCY": "1",
    "MALLOC_ARENA_MAX": "2",
}


class ChildProcess:
    """`python -m module SOCKET MEMORY FD...`, which begins with `limits.connect`. For one thread at a time.

    Args:
        memory: bytes of address space.
        seconds: wall clock for one reply.
        inherited: file descriptors that the child gets.
        settings: environment variables that it gets besides those that hold it to one thread.
    """

    def __init__(
        self,
        module: str,
        *,
        memory: int,
        seconds: float,
        inherited: Sequence[int] = (),
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.memory, self.seconds = memory, seconds
        self.process: subprocess.Popen[bytes] | None = None
        self.connection: Connection | None = None
        self._module, self._inherited, self._settings = module, tuple(inherited), dict(settings or {})
        self._stderr = open_exchange("fiat-color-stderr")

    @property
    def pid(self) -> int | None:
        """Process id; None where none runs."""
        return self.process.pid if self.process is not None else None

    def start(self) -> None:
        """Start the process unless it runs. Raises RunError where it does not start."""
        if self.process is not None and self.process.poll() is None:
            return
        self.stop()
        self._empty_stderr()
        ours, theirs = socket.socketpair()
        self.connection = Connection(ours.detach())
        try:
            with theirs:
                self.process = self._popen(theirs.fileno())
            if self.connection.poll(_START_SECONDS) and self.connection.recv() == READY:
                return
        except EOFError:
            pass  # it has died: the message below says so
        except OSError as error:
            self.stop()
            raise RunError(f"the decoder process does not start: {error}") from error
        self.stop()
        limit = f"limits.memory {self.memory:,}"
        raise RunError(f"the decoder process does not start ({limit}): {self._end_of_stderr()}")

    def _popen(self, socket_fd: int) -> subprocess.Popen[bytes]:
        fds = (socket_fd, *self._inherited)
        numbers = [str(number) for number in (socket_fd, self.memory, *self._inherited)]
        return subprocess.Popen(
            [sys.executable, "-P", "-m", self._module, *numbers],
            pass_fds=fds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            env={**os.environ, **_ONE_THREAD, **self._settings, "PYTHONPATH": child_python_path()},
        )

    def ask(self, request: tuple[object, ...]) -> Any:
        """Send a request; the reply. Raises as `receive`."""
        deadline = time.monotonic() + self.seconds
        connection = self._connected()
        self._empty_stderr()
        try:
            connection.send(request)
        except OSError:
            raise self._death() from None
        return self.receive(max(deadline - time.monotonic(), 0))

    def receive(self, seconds: float | None = None) -> Any:
        """The next reply, within `seconds`, else those of every reply.

        Raises:
            ImageFailure: the one that the child replied; TIMEOUT or DECODER_CRASHED, after which, as after
                OUT_OF_MEMORY, no child runs.
        """
        connection = self._connected()
        try:
            if not connection.poll(self.seconds if seconds is None else seconds):
                self.stop()
                raise self._over_time()
            reply = connection.recv()
        except (EOFError, OSError):
            raise self._death() from None
        if isinstance(reply, ImageFailure):
            if reply.code == FailureCode.OUT_OF_MEMORY:
                self.stop()  # do not use a process with a failed allocation for the next image
            raise reply
        return reply

    def stop(self) -> None:
        """Kill the process where it runs."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self) -> None:
        """Kill the process and release its files; may be called more than once."""
        self.stop()
        if self._stderr >= 0:
            os.close(self._stderr)
        self._stderr = -1

    def _connected(self) -> Connection:
        if self.connection is None:
            raise ImageFailure(FailureCode.DECODER_CRASHED, "the decoder has ended")
        return self.connection

    def _death(self) -> ImageFailure:
        """Why the process died in the middle of an image."""
        assert self.process is not None
        try:
            status = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            status = 0
        self.stop()
        if status == -signal.SIGXCPU:
            return self._over_time()
        if status < 0:
            name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
            hint = ", perhaps by the system for lack of memory" if -status == signal.SIGKILL else ""
            return ImageFailure(FailureCode.DECODER_CRASHED, f"the decoder was killed by {name}{hint}")
        words = self._end_of_stderr()
        return ImageFailure(FailureCode.DECODER_CRASHED, f"the decoder exited with status {status}: {words}")

    def _over_time(self) -> ImageFailure:
        message = f"decoding took longer than {self.seconds:g} s; raise limits.seconds"
        return ImageFailure(FailureCode.TIMEOUT, message)

    def _empty_stderr(self) -> None:
        """Libraries warn there: what they write about thousands of images must not fill memory."""
        os.lseek(self._stderr, 0, os.SEEK_SET)
        os.ftruncate(self._stderr, 0)

    def _end_of_stderr(self) -> str:
        size = os.fstat(self._stderr).st_size
        text = os.pread(self._stderr, _STDERR_BYTES, max(size - _STDERR_BYTES, 0)).decode("utf-8", "replace")
        return " ".join(text.split()) or "nothing on its standard error"
