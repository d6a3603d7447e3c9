"""The decoder's child process, started by `image.py` as `python -m pipeline.codecs.isolated.child`.

Its three arguments are numbers: the socket, the exchange file and the bytes of memory. One request at a
time: (key, content type, limits, size, seconds, page), with the file in the exchange. Imports stay light, so
that a restart costs a third of a second and a small address space.
"""

from __future__ import annotations

import gc
import math
import os
import resource
import select
import signal
import sys
import threading
import warnings
from multiprocessing.connection import Connection

import numpy as np

from pipeline.codecs.isolated.exchange import read_all, write_all
from pipeline.codecs.pixels import DecodeLimits, NoImage, read_pixels
from pipeline.errors import FailureCode, ImageFailure

Request = tuple[str, str | None, DecodeLimits, int, float, int]
_OUT_OF_MEMORY = "decoding needs more than limits.memory allows; raise it or leave the key out"


def main(arguments: list[str]) -> None:
    """Serve requests until the parent closes its end of the socket."""
    socket_fd, exchange, memory = (int(argument) for argument in arguments)
    # Ctrl-C is the parent's to handle; it then closes the socket
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.stack_size(256 * 1024)
    threading.Thread(target=die_with_parent, args=(socket_fd,), daemon=True).start()
    connection = Connection(socket_fd)
    connection.send("ready")
    while True:
        try:
            request: Request = connection.recv()
        except (EOFError, OSError):
            return
        connection.send(_serve(request, exchange))
        gc.collect(0)


def die_with_parent(socket_fd: int) -> None:
    """End at once when the parent's end of the socket closes, in the middle of a decode too.

    Not PR_SET_PDEATHSIG: that fires when the *thread* ends that started the child.
    """
    poll = select.poll()
    poll.register(socket_fd, select.POLLRDHUP if hasattr(select, "POLLRDHUP") else select.POLLHUP)
    poll.poll()
    os._exit(0)


def _serve(request: Request, exchange: int) -> tuple[object, ...]:
    key, content_type, limits, size, seconds, page = request
    limit_cpu(seconds)
    try:
        found = read_pixels(read_all(exchange, size), key, content_type, limits, page)
        if isinstance(found, NoImage):
            return "no_image", found.message
        end = write_all(exchange, np.ascontiguousarray(found.array).data)
        if found.alpha is not None:
            write_all(exchange, np.ascontiguousarray(found.alpha).data, end)
        shape, deep = found.array.shape, found.array.dtype == np.uint16
        has_alpha = found.alpha is not None
        return "pixels", shape, deep, has_alpha, found.mode, found.meta, found.notes, found.pages
    except ImageFailure as failure:
        return "failed", failure.code, failure.message
    except MemoryError:
        return "failed", FailureCode.OUT_OF_MEMORY, _OUT_OF_MEMORY


def limit_cpu(seconds: float) -> None:
    """SIGXCPU a little after the limit: the kernel's watchdog, should the parent not be there to kill."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    until = usage.ru_utime + usage.ru_stime + seconds + 1
    if math.isfinite(until) and until < 2**31:
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        soft = math.ceil(until)
        resource.setrlimit(resource.RLIMIT_CPU, (soft if hard < 0 else min(soft, hard), hard))


if __name__ == "__main__":
    main(sys.argv[1:])
