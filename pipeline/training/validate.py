"""Validate the averaged weights, in numbers and as a picture."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pipeline.color.difference_torch import chroma_difference
from pipeline.color.spaces import lab_to_srgb, reduce_chroma_to_gamut
from pipeline.models.ab_bins import target_at
from pipeline.models.base import Colorizer
from pipeline.training.data.memory import Photos, validation_batches
from pipeline.training.sections import DataConfig


@torch.inference_mode()
def validate(
    colorizer: Colorizer, photos: Photos, tint: tuple[float, float], config: DataConfig, batch: int
) -> dict[str, float]:
    """ab-RMSE (Lab units) on middle squares, of the constant `tint` beside it, and the predictions' RMS; the
    mean difference that people see (`color.difference_torch`), of the predictions and of the tint.

    Empty where no photograph is readable. Runs on the device of the colorizer's parameters.
    """
    device = next(colorizer.parameters()).device
    squares: dict[str, float] = {"rmse": 0.0, "tint_rmse": 0.0, "chroma": 0.0}
    differences = {"delta_e": 0.0, "tint_delta_e": 0.0}
    count = 0
    tint_2hw = torch.tensor(tint, device=device)[:, None, None]
    for middle in validation_batches(photos, config, batch):
        guess = colorizer.predict_ab(middle.L_B1HW.to(device))
        truth = target_at(middle.ab_B2HW.to(device), (guess.shape[2], guess.shape[3]))
        count += truth.numel()
        squares["rmse"] += float((guess - truth).square().sum())
        squares["tint_rmse"] += float((tint_2hw - truth).square().sum())
        squares["chroma"] += float(guess.square().sum())
        differences["delta_e"] += float(chroma_difference(guess, truth).sum())
        differences["tint_delta_e"] += float(chroma_difference(tint_2hw.expand_as(truth), truth).sum())
    if not count:
        return {}
    means = {name: math.sqrt(value / count) for name, value in squares.items()}
    return means | {name: 2 * value / count for name, value in differences.items()}  # two numbers a pixel


@torch.inference_mode()
def sample_picture(
    colorizer: Colorizer, photos: Photos, config: DataConfig, count: int
) -> NDArray[np.uint8] | None:
    """Rows of input | prediction | truth, uint8[count*crop, 3*crop, 3], of the first readable photographs.

    None where there is none, or `count` is 0.
    """
    device = next(colorizer.parameters()).device
    batch = next(validation_batches(photos, config, count), None) if count else None
    if batch is None:
        return None
    guess = colorizer.predict_ab(batch.L_B1HW.to(device)).cpu()
    guess = F.interpolate(guess, batch.ab_B2HW.shape[2:], mode="bilinear", align_corners=False)
    columns = [_rgb8(batch.L_B1HW, ab) for ab in (torch.zeros_like(guess), guess, batch.ab_B2HW)]
    return np.concatenate([np.concatenate(list(column)) for column in columns], axis=1)


def _rgb8(L_B1HW: Tensor, ab_B2HW: Tensor) -> NDArray[np.uint8]:
    lab = torch.cat([L_B1HW, ab_B2HW], dim=1).permute(0, 2, 3, 1).numpy()
    return np.asarray(np.round(lab_to_srgb(reduce_chroma_to_gamut(lab)) * 255), dtype=np.uint8)
