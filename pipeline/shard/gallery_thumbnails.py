"""Thumbnails for the gallery, written by the worker that has the pixels, to avoid decoding again."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.codecs.thumbnail import thumbnail_jpeg
from pipeline.codecs.thumbnail_pixels import SmallStrips, gray_of_lightness, shown, small_result
from pipeline.color.area import area_mean
from pipeline.config.job import JobConfig
from pipeline.ledger.keys import thumbnail_key, thumbnail_name
from pipeline.ledger.schema import LedgerRow
from pipeline.records import Status
from pipeline.storage import Store

Small = NDArray[np.uint8]  # [h,w] or [h,w,3], sRGB
Levels = NDArray[Any]  # uint8 or uint16


def thumbnail_side(config: JobConfig) -> int | None:
    """The longest side of the thumbnails that workers write, in pixels; None: they write none."""
    return config.report.thumbnail if config.report.gallery else None


def small_of(config: JobConfig, rgb: Levels, alpha: Levels | None, icc: bytes | None) -> Small | None:
    """The thumbnail of a result (`small_result`); None if none should be written."""
    side = thumbnail_side(config)
    return None if side is None else small_result(rgb, alpha, icc, side)


def load_area_kernels() -> None:
    """Load the compiled code that thumbnails need."""
    gray, colours = np.zeros((64, 64), np.uint8), np.zeros((64, 64, 3), np.uint8)
    gray.flags.writeable = False  # as pixels of a decoder's process are
    for levels in (gray, colours):
        area_mean(levels, 32)


class SmallMaster:
    """The thumbnails of a master that is composed in strips.

    `before` takes its lightness, and is shown in gray; `after` takes the rows that are written.
    """

    def __init__(self, before: tuple[int, int], after: tuple[int, int], side: int) -> None:
        """The (height, width) of source and result, and the longest side of both thumbnails."""
        self.before, self.after = SmallStrips(*before, 1, side), SmallStrips(*after, 3, side)

    def both(self, icc: bytes | None) -> tuple[Small, Small]:
        """Both thumbnails, after all rows were given; `icc` is the profile of the written rows."""
        return gray_of_lightness(self.before.result()), shown(self.after.result(), icc)


class Pictures:
    """Writes the thumbnails of one worker process.

    Each is named after the bytes that it shows, so writing it again changes nothing, and a thumbnail without
    a committed row does no harm.
    """

    def __init__(self, config: JobConfig, out: Store, threads: ThreadPoolExecutor) -> None:
        self._side, self._out, self._threads = config.report.thumbnail, out, threads
        self._waiting: list[Future[None]] = []

    def put(self, sha256: str | None, small: Small | None) -> None:
        """Write the thumbnail of a file with this SHA-256, if there is one.

        Raises:
            StorageError: it cannot be written.
        """
        if sha256 is not None and small is not None:
            key = thumbnail_key(self._side, thumbnail_name(sha256))
            self._out.put(key, thumbnail_jpeg(small), "image/jpeg")

    def put_both(self, row: LedgerRow, before: Small | None, after: Small | None) -> None:
        """Write the thumbnails of a coloured image and its source; without a result, only the source's.

        Raises:
            StorageError: one cannot be written.
        """
        self.put(row.source_sha256, before)
        if row.status == Status.COLORIZED:
            self.put(row.output_sha256, after)

    def put_later(self, sha256: str, small: Small | None) -> None:
        """Like `put`, on a thread; `wait` raises its errors."""
        if small is not None:
            self._waiting.append(self._threads.submit(self.put, sha256, small))

    def wait(self) -> None:
        """Wait until all thumbnails given to `put_later` are written. Raises StorageError."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.result()
