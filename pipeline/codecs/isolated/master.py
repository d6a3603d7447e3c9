"""A master read in a child process under limits: a hostile file costs one image and never the worker.

The child sends one strip at a time and reads ahead no further than a socket holds. It dies with its parent.
`python -m pipeline.codecs.isolated.master` with the socket and the bytes of memory is the child.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import child_python_path
from pipeline.codecs.isolated.child import die_with_parent, limit_cpu
from pipeline.codecs.masters import Master, MasterInfo, Reduced
from pipeline.errors import FailureCode, ImageFailure, RunError

_START_SECONDS = 60.0
# One thread of libvips: the parent composes on another core; more would only hold more lines in memory.
_CHILD_SETTINGS = {"VIPS_CONCURRENCY": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}


class IsolatedMaster:
    """As `Master`, in a child process of `memory` bytes; each pass may take `seconds`, and no reply longer.

    Raises ImageFailure as `Master`, and TIMEOUT, OUT_OF_MEMORY or DECODER_CRASHED; RunError where the child
    does not start. Use as a context manager.
    """

    def __init__(self, path: Path, *, pixels: int, memory: int, seconds: float) -> None:
        self.seconds = seconds
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(theirs.fileno()), str(memory)],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **_CHILD_SETTINGS, "PYTHONPATH": child_python_path()},
            )
        self._connection = Connection(ours.detach())
        try:
            if not self._connection.poll(_START_SECONDS) or self._connection.recv() != "ready":
                raise EOFError
        except (EOFError, OSError):
            self.close()
            raise RunError("the process that decodes masters does not start; see limits.memory") from None
        try:
            self.info: MasterInfo = self._ask((str(path), pixels, seconds))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> IsolatedMaster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    def close(self) -> None:
        """End the child."""
        self._connection.close()
        self._process.kill()
        self._process.wait()

    def reduced(self, side: int) -> Reduced:
        """See `Master.reduced`."""
        found: Reduced = self._ask(("reduced", side))
        return found

    def strips(self) -> Iterator[tuple[NDArray[np.uint16], NDArray[Any] | None]]:
        """See `Master.strips`."""
        strip = self._ask(("strips",))
        while strip is not None:
            yield strip
            strip = self._receive()

    def _ask(self, request: tuple[object, ...]) -> Any:
        try:
            self._connection.send(request)
        except OSError:
            raise self._obituary() from None
        return self._receive()

    def _receive(self) -> Any:
        try:
            if not self._connection.poll(self.seconds):
                raise _over_time(self.seconds)
            reply = self._connection.recv()
        except (EOFError, OSError):
            raise self._obituary() from None
        if isinstance(reply, ImageFailure):
            raise reply
        return reply

    def _obituary(self) -> ImageFailure:
        status = self._process.wait(timeout=5)
        if status == -signal.SIGXCPU:
            return _over_time(self.seconds)
        name = f"ended with status {status}" if status >= 0 else f"was killed by signal {-status}"
        return ImageFailure(FailureCode.DECODER_CRASHED, f"the decoder {name}")


def _over_time(seconds: float) -> ImageFailure:
    return ImageFailure(FailureCode.TIMEOUT, f"decoding took longer than {seconds:g} s; raise limits.seconds")


def _serve(connection: Connection) -> None:
    path, pixels, seconds = connection.recv()
    master = Master(Path(path), pixels=pixels)
    connection.send(master.info)
    while True:
        request = connection.recv()
        limit_cpu(seconds)
        if request[0] == "reduced":
            connection.send(master.reduced(request[1]))
        else:
            for strip in master.strips():
                connection.send(strip)
            connection.send(None)


def main(arguments: list[str]) -> None:
    """Serve one master until the parent closes its end of the socket."""
    socket_fd, memory = (int(argument) for argument in arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.Thread(target=die_with_parent, args=(socket_fd,), daemon=True).start()
    connection = Connection(socket_fd)
    connection.send("ready")
    try:
        _serve(connection)
    except ImageFailure as failure:
        connection.send(failure)
    except MemoryError:
        words = "decoding needs more than limits.memory allows; raise it"
        connection.send(ImageFailure(FailureCode.OUT_OF_MEMORY, words))
    except (EOFError, OSError):
        return


if __name__ == "__main__":
    main(sys.argv[1:])
