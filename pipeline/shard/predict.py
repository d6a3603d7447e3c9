"""Predict: model inputs of many images in, their chroma out. Knows batches; knows nothing of files or Ray."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.color.borders import neutral_borders
from pipeline.models.base import Colorizer

F32 = NDArray[np.float32]

CPU_BATCH = 1
GPU_BATCH = 16


class Predictor:
    """Runs one colorizer over images of any sizes.

    On a CPU the batch is one image by default: the convolution library rounds differently for different batch
    sizes, and a resumed run must give the bytes that an undisturbed run gives.
    """

    def __init__(
        self, colorizer: Colorizer, *, device: str, batch: int | None, neutral_borders: bool = False
    ) -> None:
        self.colorizer = colorizer
        self.neutral_borders = neutral_borders
        self.device = torch.device(device)
        self.batch = batch or (CPU_BATCH if self.device.type == "cpu" else GPU_BATCH)

    def __call__(self, inputs: list[F32], guides: Sequence[Mapping[str, F32]] | None = None) -> list[F32]:
        """Chroma for each L* image.

        Args:
            inputs: arrays float32[h,w], L* in [0, 100], h and w multiples of 8.
            guides: for each the guides by name, float32[c,h',w'], that the colorizer takes; None: no guides.

        Returns:
            For each, in the same order, float32[2,h',w'], CIELAB ab in Lab units; h', w' as the method gives.
        """
        if self.device.type == "cpu" and torch.get_num_threads() != 1:
            # a worker per core; OpenMP keeps this per thread, and Ray calls from others
            torch.set_num_threads(1)
        given: Sequence[Mapping[str, F32]] = guides if guides is not None else [{}] * len(inputs)
        by_shape: dict[Hashable, list[int]] = defaultdict(list)
        for index, (L, own) in enumerate(zip(inputs, given, strict=True)):
            by_shape[L.shape, *sorted((name, guide.shape) for name, guide in own.items())].append(index)
        results: list[F32] = [np.empty((2, 0, 0), np.float32)] * len(inputs)
        for indices in by_shape.values():
            for start in range(0, len(indices), self.batch):
                chosen = indices[start : start + self.batch]
                step = self._step([inputs[i] for i in chosen], [given[i] for i in chosen])
                for index, ab in zip(chosen, step, strict=True):
                    results[index] = neutral_borders(ab, inputs[index]) if self.neutral_borders else ab
        return results

    def _step(self, same_size: list[F32], guides: list[Mapping[str, F32]]) -> F32:
        L_B1HW = torch.from_numpy(np.stack(same_size)[:, None]).to(self.device)
        stacked = {
            name: torch.from_numpy(np.stack([own[name] for own in guides])).to(self.device)
            for name in guides[0]
        }
        with torch.inference_mode():
            ab_B2hw = self.colorizer.predict_ab(L_B1HW, stacked or None).float()
        result: F32 = ab_B2hw.cpu().numpy()
        return result
