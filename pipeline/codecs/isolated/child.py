"""The decoder's child process, started by `image.py` as `python -m pipeline.codecs.isolated.child`.

Its three arguments are numbers: the socket, the bytes of memory and the exchange file. One request at a
time: (key, content type, limits, size, seconds, page), with the file in the exchange. Imports stay light, so
that a restart costs a third of a second and a small address space.
"""

from __future__ import annotations

import gc
import sys

import numpy as np

from pipeline.codecs.isolated.exchange import read_all, write_all
from pipeline.codecs.isolated.limits import connect, limit_cpu
from pipeline.codecs.pixels import DecodeLimits, NoImage, read_pixels
from pipeline.errors import FailureCode, ImageFailure

DecodeRequest = tuple[str, str | None, DecodeLimits, int, float, int]
_OUT_OF_MEMORY = "decoding needs more than limits.memory allows; raise it or leave the key out"


def main(arguments: list[str]) -> None:
    """Serve requests until the parent closes its end of the socket."""
    socket_fd, memory, exchange = (int(argument) for argument in arguments)
    connection = connect(socket_fd, memory)
    while True:
        try:
            request: DecodeRequest = connection.recv()
        except (EOFError, OSError):
            return
        connection.send(_reply(request, exchange))
        gc.collect(0)


def _reply(request: DecodeRequest, exchange: int) -> object:
    """A NoImage, an ImageFailure, or a description of the pixels, which lie in the exchange."""
    key, content_type, limits, size, seconds, page = request
    limit_cpu(seconds)
    try:
        pixels = read_pixels(read_all(exchange, size), key, content_type, limits, page)
        if isinstance(pixels, NoImage):
            return pixels
        end = write_all(exchange, np.ascontiguousarray(pixels.array).data)
        if pixels.alpha is not None:
            write_all(exchange, np.ascontiguousarray(pixels.alpha).data, end)
        shape, deep = pixels.array.shape, pixels.array.dtype == np.uint16
        rest = (pixels.meta, pixels.notes, pixels.pages, pixels.light, pixels.depth)
        alpha_bytes = 0 if pixels.alpha is None else pixels.alpha.itemsize
        return shape, deep, alpha_bytes, pixels.mode, *rest
    except ImageFailure as failure:
        return failure
    except MemoryError:
        return ImageFailure(FailureCode.OUT_OF_MEMORY, _OUT_OF_MEMORY)


if __name__ == "__main__":
    main(sys.argv[1:])
