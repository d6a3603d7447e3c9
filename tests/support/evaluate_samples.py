"""Small photographs and a network whose colours are known, for the tests of the evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from pipeline.models.methods.iizuka import AB_RANGE, IizukaColorizer
from pipeline.models.weights import WeightsInfo, encode_weights

TINT = (6.0, 9.0)
SIZE = (150, 130)


def photograph(seed: int) -> Image.Image:
    """Smooth patches of colour."""
    pixels = np.random.default_rng(seed).integers(60, 190, (5, 6, 3)).astype(np.uint8)
    return Image.fromarray(pixels).resize(SIZE, Image.Resampling.BICUBIC)


def write_photographs(folder: Path) -> Path:
    """Five photographs in two sources, three of them with an ImageNet class, in a folder with a manifest."""
    folder.mkdir()
    for seed, name in enumerate("abcde"):
        photograph(seed).save(folder / f"{name}.png")
    (folder / "manifest.csv").write_text(
        "file,source,label,orig_path\n"
        "a.png,one,imagenet/n01440764_tench,\n"
        "b.png,one,,n01443537.JPEG\n"
        "c.png,one,n00000000 is no class,\n"
        "d.png,two,n15075141,\n"
        "e.png,two,,\n"
    )
    return folder


def write_weights(path: Path, tint: tuple[float, float] = TINT) -> Path:
    """A network that predicts `tint` for every input, with TINT as its training mean."""
    colorizer = IizukaColorizer(0.05)
    output = colorizer.network.colorization.output
    assert output.bias is not None
    nn.init.zeros_(output.weight)
    unit = (torch.tensor(tint) - AB_RANGE[0]) / (AB_RANGE[1] - AB_RANGE[0])
    with torch.no_grad():
        output.bias.copy_(torch.logit(unit))
    info = WeightsInfo("iizuka", colorizer.architecture(), TINT, AB_RANGE, IizukaColorizer.normalisation)
    path.write_bytes(encode_weights(colorizer.state_dict(), info))
    return path
