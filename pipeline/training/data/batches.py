"""Batches for the network, from encoded images and seeds, independent of where they are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pipeline.codecs.opened import opened_picture
from pipeline.errors import ConfigError
from pipeline.training.data.crops import lab_crop, seen
from pipeline.training.sections import DataConfig

U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]
F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Batch:
    """`L_B1HW` in [0, 100] as the network gets it, `ab_B2HW` in Lab units, `label_B` int64, -1 unknown.

    `unreadable` are the keys of photographs that another of the batch stands in for.
    """

    L_B1HW: Tensor
    ab_B2HW: Tensor
    label_B: Tensor
    unreadable: tuple[str, ...] = ()


def decode(image: bytes) -> U8 | None:
    """uint8[H,W,3], or None where the bytes are no image that can be decoded."""
    try:
        with opened_picture(image) as opened:
            return np.asarray(opened.convert("RGB"))
    except Exception:  # whatever Pillow raises on a broken file, the row is counted, named and replaced
        return None


def crop_arrays(
    photos: Sequence[U8 | None], keys: Sequence[str], labels: I64, seeds: I64, config: DataConfig
) -> dict[str, NDArray[np.generic]]:
    """One random crop of each photograph, flipped and aged by its row of `seeds`.

    Returns L float32[B,1,crop,crop], ab float32[B,2,crop,crop], label int64[B] and unreadable[B]: the key
    where the photograph is None, else "". The next readable photograph of the batch takes the place of an
    unreadable one, so the batch is whole and the same in every run. Raises ConfigError where there is none.
    """
    size = len(photos)
    readable = [place for place in range(size) if photos[place] is not None]
    if not readable:
        raise ConfigError(
            f"none of {size} training images can be decoded, from {keys[0]} to {keys[-1]}; "
            "prepare the photographs again"
        )
    L_B1HW = np.empty((size, 1, config.crop, config.crop), dtype=np.float32)
    ab_B2HW = np.empty((size, 2, config.crop, config.crop), dtype=np.float32)
    source = np.arange(size)
    for place in range(size):
        if photos[place] is None:
            source[place] = next((p for p in readable if p > place), readable[0])
        pixels = photos[source[place]]
        assert pixels is not None
        rng = np.random.default_rng(seeds[place])
        rgb8 = _random_crop(pixels, config, rng)
        L_B1HW[place, 0], ab_B2HW[place] = seen(rgb8, rng, config.augment)
    unreadable = [key if photo is None else "" for key, photo in zip(keys, photos, strict=True)]
    return {
        "L": L_B1HW,
        "ab": ab_B2HW,
        "label": labels[source],
        "unreadable": np.array(unreadable, dtype=object),
    }


def to_batch(arrays: dict[str, NDArray[np.generic]]) -> Batch:
    """Tensors of what `crop_arrays` returned; arrays that came through Ray are read-only, so copied."""
    L_B1HW, ab_B2HW, label_B = (
        torch.from_numpy(a if a.flags.writeable else a.copy())
        for a in (arrays["L"], arrays["ab"], arrays["label"])
    )
    return Batch(L_B1HW, ab_B2HW, label_B, tuple(str(key) for key in arrays["unreadable"] if key))


def _random_crop(pixels: U8, config: DataConfig, rng: np.random.Generator) -> U8:
    height, width = pixels.shape[:2]
    side = max(1, round(min(height, width) * float(np.sqrt(rng.uniform(*config.scale)))))
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    square = Image.fromarray(pixels[top : top + side, left : left + side])
    crop = np.asarray(square.resize((config.crop, config.crop), Image.Resampling.BICUBIC))
    return np.ascontiguousarray(crop[:, ::-1] if rng.random() < 0.5 else crop)


def middle_batch(photos: Sequence[U8], labels: I64, config: DataConfig) -> Batch:
    """The middle square of each photograph, nothing changed: for validation."""
    crops = []
    for pixels in photos:
        crops.append(lab_crop(middle_square(pixels, config.crop)))
    L_B1HW = torch.from_numpy(np.stack([L_HW[None] for L_HW, _ in crops]))
    ab_B2HW = torch.from_numpy(np.stack([ab_2HW for _, ab_2HW in crops]))
    return Batch(L_B1HW, ab_B2HW, torch.from_numpy(labels))


def middle_square(pixels: U8, size: int) -> U8:
    """The largest square in the middle of uint8[H,W,3], brought to uint8[size,size,3]."""
    side = min(pixels.shape[:2])
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    square = Image.fromarray(pixels[top : top + side, left : left + side])
    return np.asarray(square.resize((size, size), Image.Resampling.BICUBIC))
