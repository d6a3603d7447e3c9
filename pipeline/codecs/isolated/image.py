"""Decode in a child process like `in_memory.decode`; if the child dies, only one image fails.

The child is started once, and again after a death.
"""

from __future__ import annotations

import mmap
import os
from types import TracebackType

import numpy as np

from pipeline.codecs.in_memory import Decoded, Skip, finish
from pipeline.codecs.isolated.exchange import open_exchange, write_all
from pipeline.codecs.isolated.process import ChildProcess
from pipeline.codecs.pixels import DecodeLimits, NoImage
from pipeline.codecs.upright import Pixels
from pipeline.errors import FailureCode, ImageFailure, RunError

_KEPT_BYTES = 64 * 2**20  # of the exchange file kept between images; more is freed
# Freed memory is kept for the next image of its size: a third of the time that a 512 x 512 one takes.
_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 * 2**20), "MALLOC_TRIM_THRESHOLD_": str(128 * 2**20)}


class IsolatedDecoder:
    """Decodes as `in_memory.decode` does, in a child process of `memory` bytes, `seconds` per image.

    For one thread at a time. Use as a context manager, or call `close`.
    """

    def __init__(self, *, memory: int, seconds: float) -> None:
        self.memory = memory
        self._exchange = open_exchange("fiat-color-pixels")
        self._child = ChildProcess(
            "pipeline.codecs.isolated.child",
            memory=memory,
            seconds=seconds,
            inherited=(self._exchange,),
            settings=_KEEP_MEMORY,
        )

    def __enter__(self) -> IsolatedDecoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Process id of the child; None where none runs."""
        return self._child.pid

    @property
    def seconds(self) -> float:
        """Seconds that one image may take."""
        return self._child.seconds

    def close(self) -> None:
        """End the child; may be called more than once."""
        self._child.close()
        if self._exchange >= 0:
            os.close(self._exchange)
        self._exchange = -1

    def decode(
        self,
        data: bytes,
        key: str,
        content_type: str | None,
        limits: DecodeLimits,
        *,
        model_side: int,
        skip_color: bool,
        color_threshold: float,
        page: int = 0,
        thumbnail: int | None = None,
    ) -> Decoded | Skip:
        """As `in_memory.decode`.

        Raises:
            ImageFailure: as there, and TIMEOUT, OUT_OF_MEMORY or DECODER_CRASHED, after which the next image
                gets a new child.
            RunError: the child does not start at all.
        """
        try:
            pixels = self.pixels(data, key, content_type, limits, page)
            return finish(
                pixels,
                model_side=model_side,
                skip_color=skip_color,
                color_threshold=color_threshold,
                thumbnail=thumbnail,
            )
        except MemoryError:
            raise ImageFailure(
                FailureCode.OUT_OF_MEMORY, "not enough memory for the decoded pixels; lower limits.pixels"
            ) from None

    def pixels(
        self, data: bytes, key: str, content_type: str | None, limits: DecodeLimits, page: int = 0
    ) -> Pixels | NoImage:
        """As `pixels.read_pixels`; the arrays are good until the next request. Raises as `decode`."""
        if os.fstat(self._exchange).st_size > _KEPT_BYTES:
            os.ftruncate(self._exchange, 0)
        write_all(self._exchange, data)
        self._child.start()
        return self._received(self._child.ask((key, content_type, limits, len(data), self.seconds, page)))

    def _received(self, reply: object) -> Pixels | NoImage:
        """The child's reply; the arrays are views of the exchange, good until the next request."""
        match reply:
            case NoImage():
                return reply
            case (tuple() as shape, deep, int() as alpha_bytes, str() as mode, *rest):
                count, plane = int(np.prod(shape)), int(np.prod(shape[:2]))
                size = count * (2 if deep else 1)
                mapped = mmap.mmap(self._exchange, size + plane * alpha_bytes, access=mmap.ACCESS_READ)
                array = np.frombuffer(mapped, np.uint16 if deep else np.uint8, count).reshape(shape)
                cover = np.uint8 if alpha_bytes == 1 else np.uint16
                alpha = (
                    np.frombuffer(mapped, cover, plane, size).reshape(shape[:2]).copy()
                    if alpha_bytes
                    else None
                )
                return Pixels(array, alpha, mode, *rest)  # type: ignore[arg-type]
        raise RunError(f"the decoder process sent an unexpected reply: {reply!r:.200}")
