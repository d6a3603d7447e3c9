"""Decoding in a child process under limits, so that a hostile file costs one image and never the worker.

Limits: address space (RLIMIT_AS), wall clock (the parent kills), CPU seconds (RLIMIT_CPU). The child is
started once, and again after a death; it dies with its parent. It is no sandbox: it has this user's rights.
"""

from __future__ import annotations

import mmap
import os
import signal
import socket
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from types import TracebackType

import numpy as np

from pipeline import child_python_path
from pipeline.codecs.everyday import Decoded, Skip, finish
from pipeline.codecs.isolated.exchange import open_exchange, write_all
from pipeline.codecs.pixels import DecodeLimits, NoImage
from pipeline.codecs.upright import Pixels
from pipeline.errors import FailureCode, ImageFailure, RunError

# A loaded machine has taken several seconds to start a Python; a minute means that it never will.
_START_SECONDS = 60.0
_KEPT_BYTES = 64 * 2**20  # of the exchange between images; more is given back
# One thread, so that the address space stays small; and freed memory is kept for the next image of its size,
# which saves a third of the time that a 512 x 512 one takes.
_CHILD_SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "VIPS_CONCURRENCY": "1",
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(128 * 2**20),
}


class IsolatedDecoder:
    """Decodes as `everyday.decode` does, in a child process of `memory` bytes, `seconds` per image.

    For one thread at a time. Use as a context manager, or call `close`.
    """

    def __init__(self, *, memory: int, seconds: float) -> None:
        self.memory = memory
        self.seconds = seconds
        self._exchange = open_exchange("fiat-color-pixels")
        self._stderr = open_exchange("fiat-color-stderr")
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    def __enter__(self) -> IsolatedDecoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Process id of the child; None where none runs."""
        return self._process.pid if self._process is not None else None

    def close(self) -> None:
        """End the child; may be called more than once."""
        self._stop()
        for fd in (self._exchange, self._stderr):
            if fd >= 0:
                os.close(fd)
        self._exchange = self._stderr = -1

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
    ) -> Decoded | Skip:
        """As `everyday.decode`.

        Raises:
            ImageFailure: as there, and TIMEOUT, OUT_OF_MEMORY or DECODER_CRASHED, after which the next image
                gets a new child.
            RunError: the child does not start at all.
        """
        try:
            pixels = self.pixels(data, key, content_type, limits, page)
            return finish(
                pixels, model_side=model_side, skip_color=skip_color, color_threshold=color_threshold
            )
        except MemoryError:
            raise ImageFailure(
                FailureCode.OUT_OF_MEMORY, "no memory for the decoded pixels; lower limits.pixels"
            ) from None

    def pixels(
        self, data: bytes, key: str, content_type: str | None, limits: DecodeLimits, page: int = 0
    ) -> Pixels | NoImage:
        """As `pixels.read_pixels`; the arrays are good until the next request. Raises as `decode`."""
        return self._received(self._ask(data, key, content_type, limits, page))

    def _ask(
        self, data: bytes, key: str, content_type: str | None, limits: DecodeLimits, page: int
    ) -> tuple[object, ...]:
        if os.fstat(self._exchange).st_size > _KEPT_BYTES:
            os.ftruncate(self._exchange, 0)
        write_all(self._exchange, data)
        connection = self._connection if self._alive() and self._connection is not None else self._start()
        deadline = time.monotonic() + self.seconds
        try:
            connection.send((key, content_type, limits, len(data), self.seconds, page))
            if not connection.poll(max(deadline - time.monotonic(), 0)):
                self._stop()
                raise ImageFailure(FailureCode.TIMEOUT, self._over_time())
            reply: tuple[object, ...] = connection.recv()
        except (EOFError, OSError):
            raise self._obituary() from None
        if reply[0] == "failed" and reply[1] == FailureCode.OUT_OF_MEMORY:
            self._stop()  # what a failed allocation leaves behind is not for the next image
        return reply

    def _received(self, reply: tuple[object, ...]) -> Pixels | NoImage:
        """The child's reply; the arrays are views of the exchange, good until the next request."""
        match reply:
            case ("failed", FailureCode() as code, str() as message):
                raise ImageFailure(code, message)
            case ("no_image", str() as message):
                return NoImage(message)
            case ("pixels", tuple() as shape, deep, bool() as has_alpha, str() as mode, meta, notes, pages):
                count, plane = int(np.prod(shape)), int(np.prod(shape[:2]))
                size = count * (2 if deep else 1)
                mapped = mmap.mmap(self._exchange, size + plane * has_alpha, access=mmap.ACCESS_READ)
                array = np.frombuffer(mapped, np.uint16 if deep else np.uint8, count).reshape(shape)
                alpha = (
                    np.frombuffer(mapped, np.uint8, plane, size).reshape(shape[:2]).copy()
                    if has_alpha
                    else None
                )
                return Pixels(array, alpha, mode, meta, notes, pages)  # type: ignore[arg-type]
        raise RunError(f"the decoder process sent what it must not: {reply!r:.200}")

    def _alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _start(self) -> Connection:
        self._stop()
        os.ftruncate(self._stderr, 0)
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-P", "-m", "pipeline.codecs.isolated.child"]
        with theirs:
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno()), str(self._exchange), str(self.memory)],
                pass_fds=(theirs.fileno(), self._exchange),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                env={**os.environ, **_CHILD_SETTINGS, "PYTHONPATH": child_python_path()},
            )
        self._connection = Connection(ours.detach())
        try:
            if self._connection.poll(_START_SECONDS) and self._connection.recv() == "ready":
                return self._connection
        except (EOFError, OSError):
            pass  # it has died: said below
        self._stop()
        raise RunError(
            f"the decoder process does not start (limits.memory {self.memory:,}): {self._last_words()}"
        )

    def _stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _obituary(self) -> ImageFailure:
        """Why the child died in the middle of an image."""
        assert self._process is not None
        try:
            status = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            status = 0
        self._stop()
        if status == -signal.SIGXCPU:
            return ImageFailure(FailureCode.TIMEOUT, self._over_time())
        if status < 0:
            name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
            hint = ", perhaps by the system for want of memory" if -status == signal.SIGKILL else ""
            return ImageFailure(FailureCode.DECODER_CRASHED, f"the decoder was killed by {name}{hint}")
        words = self._last_words()
        return ImageFailure(FailureCode.DECODER_CRASHED, f"the decoder ended with status {status}: {words}")

    def _over_time(self) -> str:
        return f"decoding took longer than {self.seconds:g} s; raise limits.seconds"

    def _last_words(self) -> str:
        size = os.fstat(self._stderr).st_size
        text = os.pread(self._stderr, 300, max(size - 300, 0)).decode("utf-8", "replace")
        return " ".join(text.split()) or "it said nothing"
