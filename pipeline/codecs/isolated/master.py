"""Read a master in a child process under limits, so that a hostile file costs one image but never the worker.

The child sends one strip at a time and reads ahead no further than a socket holds.
`python -m pipeline.codecs.isolated.master` with the socket and the bytes of memory is the child.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.codecs.isolated.limits import connect, limit_cpu
from pipeline.codecs.isolated.process import ChildProcess
from pipeline.codecs.masters import Master, MasterInfo, Reduced
from pipeline.errors import FailureCode, ImageFailure


class IsolatedMaster:
    """As `Master`, in a child process of `memory` bytes; each pass may take `seconds`, and no reply longer.

    Raises ImageFailure as `Master`, and TIMEOUT, OUT_OF_MEMORY or DECODER_CRASHED; RunError where the child
    does not start. Use as a context manager.
    """

    def __init__(self, path: Path, *, pixels: int, memory: int, seconds: float) -> None:
        self._child = ChildProcess("pipeline.codecs.isolated.master", memory=memory, seconds=seconds)
        self._is_sending = False
        try:
            self._child.start()
            self.infos: tuple[MasterInfo, ...] = self._child.ask((str(path), pixels, seconds))
            self.info = self.infos[0]
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
        """Process id of the child, which runs."""
        pid = self._child.pid
        assert pid is not None
        return pid

    def close(self) -> None:
        """End the child; may be called more than once."""
        self._child.close()

    def reduced(self, side: int, page: int = 0) -> Reduced:
        """See `Master.reduced`."""
        self._read_to_end()
        reduced: Reduced = self._child.ask(("reduced", side, page))
        return reduced

    def strips(self, page: int = 0) -> Iterator[tuple[NDArray[np.uint16], NDArray[Any] | None]]:
        """See `Master.strips`."""
        yield from self._strips("strips", page)

    def coloured_strips(
        self, page: int = 0
    ) -> Iterator[tuple[NDArray[np.uint16], NDArray[Any] | None, NDArray[np.uint8] | None]]:
        """See `Master.coloured_strips`."""
        yield from self._strips("coloured_strips", page)

    def _strips(self, what: str, page: int) -> Iterator[Any]:
        self._read_to_end()
        strip = self._child.ask((what, page))
        self._is_sending = strip is not None
        while strip is not None:
            yield strip
            strip = self._child.receive()
            self._is_sending = strip is not None

    def _read_to_end(self) -> None:
        """Read the remaining strips of an abandoned pass, because the child still sends them."""
        while self._is_sending:
            self._is_sending = self._child.receive() is not None


def _serve(connection: Connection) -> None:
    path, pixels, seconds = connection.recv()
    master = Master(Path(path), pixels=pixels)
    connection.send(master.infos)
    while True:
        what, *arguments = connection.recv()
        limit_cpu(seconds)
        if what == "reduced":
            connection.send(master.reduced(*arguments))
        else:
            strips = master.strips if what == "strips" else master.coloured_strips
            for strip in strips(*arguments):
                connection.send(strip)
            connection.send(None)


def main(arguments: list[str]) -> None:
    """Serve one master until the parent closes its end of the socket."""
    socket_fd, memory = (int(argument) for argument in arguments)
    connection = connect(socket_fd, memory)
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
