"""Predict chroma for the model inputs of many images, in batches. Independent of files and Ray."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pipeline.color.borders import neutral_borders
from pipeline.ledger.doubt_maps import STEPS, DoubtMap
from pipeline.models.base import Colorizer
from pipeline.models.doubt import LOOK, Calibration, Judgement, picture_numbers, spread_numbers

F32 = NDArray[np.float32]

CPU_BATCH = 1
GPU_BATCH = 16
SMALLEST_LOOK = 64
"""Pixels: the shortest side of a second look, for a picture that is at least this large."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """Chroma float32[2,h,w] of one image, CIELAB ab in Lab units, and its expected quality if the predictor
    has a calibration.

    places: where the network was unsure; None where it predicts no distribution.
    """

    ab_2hw: F32
    judgement: Judgement | None = None
    places: DoubtMap | None = None


class Predictor:
    """Runs one colorizer over images of any sizes.

    On a CPU the default batch is one image, because the convolution library rounds differently for different
    batch sizes, and a resumed run must give the same bytes as an uninterrupted one.

    With a `calibration` it also judges its predictions; the chroma is bit-identical.
    """

    def __init__(
        self,
        colorizer: Colorizer,
        *,
        device: str,
        batch: int | None,
        neutral_borders: bool = False,
        calibration: Calibration | None = None,
    ) -> None:
        self.colorizer = colorizer
        self.calibration = calibration
        self.neutral_borders = neutral_borders
        self.device = torch.device(device)
        self.batch = batch or (CPU_BATCH if self.device.type == "cpu" else GPU_BATCH)

    def __call__(self, inputs: list[F32], guides: Sequence[Mapping[str, F32]] | None = None) -> list[F32]:
        """Chroma for each L* image, without the cost of judging it."""
        return [guess.ab_2hw for guess in self._guesses(inputs, guides, None)]

    def guesses(
        self, inputs: list[F32], guides: Sequence[Mapping[str, F32]] | None = None
    ) -> list[Prediction]:
        """A guess for each L* image.

        Args:
            inputs: arrays float32[h,w], L* in [0, 100], h and w multiples of 8.
            guides: for each the guides by name, float32[c,h',w'], that the colorizer takes; None: no guides.

        Returns:
            For each, in the same order, its chroma float32[2,h',w'], h', w' as the method gives, and its
            judgement; None without a calibration.
        """
        return self._guesses(inputs, guides, self.calibration)

    def _guesses(
        self,
        inputs: list[F32],
        guides: Sequence[Mapping[str, F32]] | None,
        calibration: Calibration | None,
    ) -> list[Prediction]:
        if self.device.type == "cpu" and torch.get_num_threads() != 1:
            # a worker per core; OpenMP keeps this per thread, and Ray calls from others
            torch.set_num_threads(1)
        given: Sequence[Mapping[str, F32]] = guides if guides is not None else [{}] * len(inputs)
        by_shape: dict[Hashable, list[int]] = defaultdict(list)
        for index, (L, own) in enumerate(zip(inputs, given, strict=True)):
            by_shape[L.shape, *sorted((name, guide.shape) for name, guide in own.items())].append(index)
        results: list[Prediction] = [Prediction(np.empty((2, 0, 0), np.float32))] * len(inputs)
        for indices in by_shape.values():
            for start in range(0, len(indices), self.batch):
                chosen = indices[start : start + self.batch]
                step = self._step([inputs[i] for i in chosen], [given[i] for i in chosen], calibration)
                for index, guess in zip(chosen, step, strict=True):
                    results[index] = guess
                    if self.neutral_borders:
                        ab = neutral_borders(guess.ab_2hw, inputs[index])
                        results[index] = replace(guess, ab_2hw=ab)
        return results

    def _step(
        self, same_size: list[F32], guides: list[Mapping[str, F32]], calibration: Calibration | None
    ) -> list[Prediction]:
        L_B1HW = torch.from_numpy(np.stack(same_size)[:, None]).to(self.device)
        stacked = {
            name: torch.from_numpy(np.stack([own[name] for own in guides])).to(self.device)
            for name in guides[0]
        }
        if calibration is None:
            with torch.inference_mode():
                ab_B2hw = self.colorizer.predict_ab(L_B1HW, stacked or None).float()
            return [Prediction(ab) for ab in ab_B2hw.cpu().numpy()]
        abs_, known = self._signals(L_B1HW, stacked or None, same_size, looks=calibration.looks)
        judged = [calibration.judge(one.numbers, one.features) for one in known]
        judged = [
            one if L.size >= calibration.fewest_pixels else replace(one, novelty=None)
            for L, one in zip(same_size, judged, strict=True)
        ]
        return [
            Prediction(ab, judgement, one.places)
            for ab, judgement, one in zip(abs_, judged, known, strict=True)
        ]

    def signals(self, L_hw: F32, looks: bool) -> tuple[F32, dict[str, float], F32 | None]:
        """Chroma of one L* image float32[h,w], the numbers that a calibration judges it by, its features.

        looks: whether LOOK is among the numbers.
        """
        L_B1HW = torch.from_numpy(L_hw[None, None]).to(self.device)
        (ab,), (known,) = self._signals(L_B1HW, None, [L_hw], looks=looks)
        return ab, known.numbers, known.features

    def _signals(
        self, L_B1HW: Tensor, guides: Mapping[str, Tensor] | None, inputs: list[F32], *, looks: bool
    ) -> tuple[F32, list[_Known]]:
        with torch.inference_mode():
            ab_B2hw, signals = self.colorizer.predict_with_signals(L_B1HW, guides)
            ab_B2hw = ab_B2hw.float()
            differences = self._look(L_B1HW, ab_B2hw) if looks else [None] * len(inputs)
        abs_: F32 = ab_B2hw.cpu().numpy()
        spread = _rows(signals.spread_BK, len(inputs))
        numbers = [
            picture_numbers(L, ab) | spread_numbers(one) | ({} if look is None else {LOOK: look})
            for L, ab, one, look in zip(inputs, abs_, spread, differences, strict=True)
        ]
        features = _rows(signals.features_BF, len(inputs))
        places = [None if one is None else _places(one) for one in _rows(signals.deviation_Bhw, len(inputs))]
        return abs_, [_Known(*one) for one in zip(numbers, features, places, strict=True)]

    def _look(self, L_B1HW: Tensor, ab_B2hw: Tensor) -> list[float | None]:
        """For each image, the mean ab distance in Lab units to the chroma predicted at half its size."""
        size = [max(min(side, SMALLEST_LOOK), side // 2 // 8 * 8) for side in L_B1HW.shape[-2:]]
        small_B1hw = F.interpolate(L_B1HW, size, mode="bilinear", antialias=True, align_corners=False)
        again_B2hw = self.colorizer.predict_ab(small_B1hw.clamp(0, 100)).float()
        again_B2hw = F.interpolate(again_B2hw, ab_B2hw.shape[-2:], mode="bilinear", align_corners=False)
        return [float(one) for one in (again_B2hw - ab_B2hw).norm(dim=1).mean((1, 2))]


class _Known(NamedTuple):
    """What is known of one guess: the numbers that it is judged by, its features, and `Guess.places`."""

    numbers: dict[str, float]
    features: F32 | None
    places: DoubtMap | None


def _rows(values_BN: Tensor | None, count: int) -> list[F32 | None]:
    """What belongs to each image; None for each where there is none."""
    return [None] * count if values_BN is None else list(values_BN.float().cpu().numpy())


def _places(deviation_hw: F32) -> DoubtMap:
    height, width = deviation_hw.shape
    steps = np.clip(np.rint(deviation_hw * STEPS), 0, 255).astype(np.uint8)
    return DoubtMap(width, height, steps.tobytes())
