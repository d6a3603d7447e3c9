"""What a training run reports: speed, time left, and TensorBoard scalars and pictures, on disk or on S3."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipeline.config.storage import StorageConfig
from pipeline.storage import open_store


class Meter:
    """Means since the last line, images per second, and the share of the time that steps waited for data."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._steps, self._waited, self._since = 0, 0.0, time.monotonic()

    def add(self, values: dict[str, Tensor], waited: float) -> None:
        """One step's scalars, and the seconds it waited for its batch."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(value.detach())
        self._steps += 1
        self._waited += waited

    def skip(self, seconds: float) -> None:
        """Leave out time that is no training, such as validation."""
        self._since += seconds

    def take(self, images: int) -> dict[str, float]:
        """Means over the steps since the last call, which showed `images` images each."""
        seconds = max(1e-9, time.monotonic() - self._since)
        means = {name: value / max(1, self._steps) for name, value in self._sums.items()}
        means |= {"images_per_s": self._steps * images / seconds, "data_wait": self._waited / seconds}
        self.__init__()  # type: ignore[misc]
        return means


class Clock:
    """Estimates the time left by the progress since this start; a resumed run may be faster or slower."""

    def __init__(self, progress: float) -> None:
        self._from, self._started = progress, time.monotonic()

    def left(self, progress: float) -> str:
        done = progress - self._from
        if done <= 0:
            return "? min left"
        seconds = (time.monotonic() - self._started) * (1 - progress) / done
        return f"{seconds / 60:.1f} min left"


class TensorBoard:
    """TensorBoard's files of a run: written to its folder at once, or, on S3, uploaded at every `publish`."""

    def __init__(self, uri: str, storage: StorageConfig) -> None:
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._store = open_store(f"{uri}/tensorboard", storage)
        if uri.startswith("s3://"):
            self._temporary = tempfile.TemporaryDirectory(prefix="tensorboard-")
        self._folder = self._temporary.name if self._temporary else self._store.uri
        from torch.utils.tensorboard import SummaryWriter  # an extra: `trainer.train` has asked for it

        self._writer = SummaryWriter(self._folder)

    def scalars(self, group: str, values: dict[str, Any], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, step)
        self._writer.flush()

    def picture(self, name: str, rgb8: NDArray[np.uint8], step: int) -> None:
        """uint8[H,W,3]"""
        self._writer.add_image(name, rgb8, step, dataformats="HWC")

    def publish(self) -> None:
        """Upload the event files. They only grow, so each replaces the one of its name."""
        self._writer.flush()
        if self._temporary:
            for path in sorted(Path(self._folder).iterdir()):
                self._store.put(path.name, path.read_bytes())
