"""The U-Nets' layers: an encoder of five maps, a decoder that goes up through them, and heads.

O. Ronneberger, P. Fischer, T. Brox, "U-Net", MICCAI 2015; convolutions are padded, so that sizes are kept.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.blocks import conv_bn_relu, scaled
from pipeline.models.efficientnet_lite import MAP_CHANNELS, LiteEncoder

STRIDE = 32
"""Of the deepest map: inputs are padded to whole multiples of it."""


class PlainEncoder(nn.Module):
    """Five maps at 1/2 to 1/32, each of two convolutions; at ``width=1`` U-Net's 64 to 1024 channels."""

    def __init__(self, width: float) -> None:
        super().__init__()
        self.channels = tuple(scaled(n, width) for n in (64, 128, 256, 512, 1024))
        inputs = (1, *self.channels[:-1])
        self.levels = nn.ModuleList(
            nn.Sequential(conv_bn_relu(i, o, 2), conv_bn_relu(o, o))
            for i, o in zip(inputs, self.channels, strict=True)
        )

    def forward(self, x_B1HW: Tensor) -> list[Tensor]:
        maps = []
        for level in self.levels:
            x_B1HW = level(x_B1HW)
            maps.append(x_B1HW)
        return maps


class PretrainedEncoder(nn.Module):
    """EfficientNet-Lite0 on gray; the stem and the first `frozen` blocks do not learn, which a third of the
    training time is saved by: edges and textures need no learning again."""

    def __init__(self, frozen: int) -> None:
        super().__init__()
        self.channels = MAP_CHANNELS
        self.lite = LiteEncoder(inputs=1)
        self.frozen = [self.lite.stem, *self.lite.blocks[:frozen]] if frozen else []
        for module in self.frozen:
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> PretrainedEncoder:
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def forward(self, x_B1HW: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.lite(x_B1HW)
        return maps


class Decoder(nn.Module):
    """From the deepest of five maps up to 1/2, joining each map on the way. Returns those at 1/4 and 1/2."""

    def __init__(self, map_channels: tuple[int, ...], channels: tuple[int, ...]) -> None:
        super().__init__()
        steps, inputs = [], map_channels[-1]
        for skip, outputs in zip(reversed(map_channels[:-1]), channels, strict=True):
            steps.append(conv_bn_relu(inputs + skip, outputs))
            inputs = outputs
        self.steps = nn.ModuleList(steps)

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        x, made = maps[-1], []
        for step, skip in zip(self.steps, reversed(maps[:-1]), strict=True):
            x = step(torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), skip], 1))
            made.append(x)
        return made[-2], made[-1]


def padded(x_B1HW: Tensor) -> Tensor:
    """The input with its edge repeated to the right and below, up to whole multiples of STRIDE."""
    down, right = -x_B1HW.shape[2] % STRIDE, -x_B1HW.shape[3] % STRIDE
    return F.pad(x_B1HW, (0, right, 0, down), mode="replicate") if down or right else x_B1HW
