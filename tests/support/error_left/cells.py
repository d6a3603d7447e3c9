"""Photographs as cells of CELL x CELL pixels: features of encoders, predictions of `faithful`, true colours.

Everything is kept in files in an output folder, PART photographs in each; a second call reads them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pipeline.color.luminance import downscale_luminance, luminance_u16_from_srgb8
from pipeline.color.spaces_torch import gray_level_t
from pipeline.models.efficientnet_lite import EfficientNetLite0, pretrained_lite0
from pipeline.models.method_list import load_colorizer
from pipeline.models.methods.unet.model import UnetColorizer
from pipeline.models.methods.unet.network import PretrainedEncoder, padded
from pipeline.training.data.crops import lab_crop
from tests.support.error_left.lite2 import pretrained_lite2

CELL = 16
ENLARGED = 2
"""What the ImageNet classifiers see is this much larger, for they learned from 224 and 260 pixels."""
PART = 250

F16 = NDArray[np.float16]
F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
Arrays = dict[str, NDArray[Any]]
See = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From L*, B x 1 x H x W, to features of the cells, B x C x h x w, and of the whole picture, B x F."""


def faithful() -> UnetColorizer:
    """The default weights, in float32."""
    colorizer = load_colorizer(None, "faithful", precision="fp32", device="cpu").colorizer
    assert isinstance(colorizer, UnetColorizer)
    return colorizer


def encoders(names: Iterable[str], network: UnetColorizer) -> dict[str, See]:
    """By name: "own", the encoder of `network`; "lite0" and "lite2" as trained on ImageNet."""
    classifiers = {"lite0": pretrained_lite0, "lite2": pretrained_lite2}
    return {
        name: partial(_own, network) if name == "own" else partial(_classifier, classifiers[name]())
        for name in names
    }


def _gray(L_B1HW: Tensor) -> Tensor:
    return padded((gray_level_t(L_B1HW) - 127 / 255) * (255 / 128))


def _own(network: UnetColorizer, L_B1HW: Tensor) -> tuple[Tensor, Tensor]:
    encoder = network.encoder
    assert isinstance(encoder, PretrainedEncoder)
    maps = encoder(_gray(L_B1HW).contiguous(memory_format=torch.channels_last))
    coarse = F.interpolate(maps[4], maps[3].shape[-2:], mode="bilinear", align_corners=False)
    return torch.cat([maps[3], coarse], 1), encoder.features(maps[4])


def _classifier(network: EfficientNetLite0, L_B1HW: Tensor) -> tuple[Tensor, Tensor]:
    large = F.interpolate(_gray(L_B1HW), scale_factor=ENLARGED, mode="bilinear", align_corners=False)
    rgb = large.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
    maps = network.feature_maps(rgb)
    return torch.cat([F.avg_pool2d(maps[3], 2), maps[4]], 1), network.top(maps)[0]


@dataclass(frozen=True)
class Picture:
    """A photograph uint8[H,W,3], its L* as the network gets it, float32[h,w] with multiples of 8, and its
    true chroma at half of that, float32[2,h/2,w/2]."""

    key: str
    rgb: U8
    L_hw: F32
    ab_2hw: F32


def picture(key: str, rgb: U8) -> Picture:
    """What the network gets, as `pipeline/evaluate/measure.py` gives it."""
    l_u16 = luminance_u16_from_srgb8(rgb)
    L_hw = downscale_luminance(l_u16, -(-max(rgb.shape[:2]) // 8) * 8)
    ab = torch.from_numpy(lab_crop(rgb)[1])[None]
    half = F.adaptive_avg_pool2d(ab, (L_hw.shape[0] // 2, L_hw.shape[1] // 2))
    return Picture(key, rgb, L_hw, half[0].numpy())


def square(photograph: Image.Image, side: int) -> U8:
    """The middle square, reduced to `side` pixels: uint8[side,side,3]."""
    short = min(photograph.size)
    left, top = (photograph.width - short) // 2, (photograph.height - short) // 2
    box = (left, top, left + short, top + short)
    return np.asarray(photograph.convert("RGB").resize((side, side), Image.Resampling.LANCZOS, box))


def to_cells(plane_Bchw: Tensor, step: int) -> Tensor:
    """Means over step x step pixels; the edge is repeated up to a multiple of two cells, as networks do."""
    down, right = -plane_Bchw.shape[2] % (2 * step), -plane_Bchw.shape[3] % (2 * step)
    return F.avg_pool2d(F.pad(plane_Bchw, (0, right, 0, down), mode="replicate"), step)


def from_cells(cells_2hw: F32, size: tuple[int, int]) -> F32:
    """Values of cells at each place of a chroma plane of half the picture's size, float32[2,*size]."""
    half = CELL // 2
    whole = (cells_2hw.shape[1] * half, cells_2hw.shape[2] * half)
    plane = F.interpolate(torch.from_numpy(cells_2hw)[None], whole, mode="bilinear", align_corners=False)
    return np.ascontiguousarray(plane[0, :, : size[0], : size[1]].numpy())


def rows(cells_Bchw: Tensor) -> NDArray[Any]:
    """One row for each cell, picture by picture."""
    return cells_Bchw.permute(0, 2, 3, 1).flatten(0, 2).numpy()


@torch.inference_mode()
def look(pictures: list[Picture], see: dict[str, See], network: UnetColorizer | None) -> Arrays:
    """The data of pictures of one size: for each cell, the truth `ab`, `L` (mean and deviation) and the
    features of each encoder; for each picture, the pooled features, `grid` and `key`. With `network`, also
    its prediction: `guess` for each cell, and `ab_2hw` at full size, flat."""
    L_B1HW = torch.from_numpy(np.stack([one.L_hw for one in pictures])[:, None])
    truth = to_cells(torch.from_numpy(np.stack([one.ab_2hw for one in pictures])), CELL // 2)
    mean, square_ = to_cells(L_B1HW, CELL), to_cells(L_B1HW.square(), CELL)
    deviation = (square_ - mean.square()).clamp(min=0).sqrt()
    known: Arrays = {
        "key": np.array([one.key for one in pictures]),
        "grid": np.array([truth.shape[-2:]] * len(pictures)),
        "ab": rows(truth),
        "L": rows(torch.cat([mean, deviation], 1)),
    }
    for name, encoder in see.items():
        cells, pooled = encoder(L_B1HW)
        assert cells.shape[-2:] == truth.shape[-2:]
        known[f"cells_{name}"] = rows(cells).astype(np.float16)
        known[f"pooled_{name}"] = pooled.numpy().astype(np.float16)
    if network is not None:
        guess = network.predict_ab(L_B1HW)
        known["guess"] = rows(to_cells(guess, CELL // 2))
        known["ab_2hw"] = guess.numpy().ravel()
    return known


def kept(folder: Path, count: int, make: Callable[[int, int], Iterator[Arrays]], size: int = PART) -> Arrays:
    """The arrays of `count` photographs, joined. Reads parts of `size` from `folder`, and makes those that
    are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in range(0, count, size):
        path = folder / f"{start:06}-{min(start + size, count):06}.npz"
        if not path.exists():
            made = joined(list(make(start, min(start + size, count))))
            part = path.with_suffix(".part")
            with part.open("wb") as file:
                np.savez(file, **made)
            part.rename(path)
            print(f"{path.parent.name}: {min(start + size, count)} of {count}", file=sys.stderr, flush=True)
        with np.load(path) as file:
            parts.append({name: file[name] for name in file.files})
    return joined(parts)


def joined(parts: list[Arrays]) -> Arrays:
    """For each name, the arrays concatenated."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
