"""Layers that several networks are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CHANNEL_STEP = 16
"""Scaled channels are whole multiples of this, which is what vector units like."""


def scaled(channels: int, width: float) -> int:
    """A channel count times `width`, to the nearest positive multiple of CHANNEL_STEP."""
    return max(CHANNEL_STEP, round(channels * width / CHANNEL_STEP) * CHANNEL_STEP)


def conv_bn_relu(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """3x3 convolution, batch normalisation (whose shift replaces the bias), ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=dilation, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def linear_bn_relu(inputs: int, outputs: int) -> nn.Sequential:
    """Fully connected layer, batch normalisation (whose shift replaces the bias), ReLU."""
    return nn.Sequential(
        nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU(inplace=True)
    )


class UpStep(nn.Sequential):
    """`conv_bn_relu` of a map enlarged to twice its size, the nearest value for each pixel, joined with a
    finer one."""

    def __init__(self, inputs: int, finer: int, outputs: int) -> None:
        super().__init__(*conv_bn_relu(inputs + finer, outputs))
        self.inputs = inputs

    def forward(self, x_BChw: Tensor, finer_BDHW: Tensor) -> Tensor:  # type: ignore[override]
        """B x outputs x H x W, H = 2h, W = 2w."""
        enlarged = nn.functional.interpolate(x_BChw, scale_factor=2, mode="nearest")
        x = torch.cat([enlarged, finer_BDHW], 1)
        for layer in self:
            x = layer(x)
        return x


class OutputConv(nn.Conv2d):
    """The last layer, always float32: bfloat16 has steps of 1/256 near 1, most of an ab unit."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


class EncoderDecoder(nn.Module):
    """A plain CNN: L in [0, 1] down to 1/8, dilated there to see far, and up again to 1/4.

    The shape of Zhang, Isola and Efros 2016 (their conv1 to conv8) without repeating every layer: at
    ``width=1`` their channels. Returns `channels` features at 1/4 of the input's size.
    """

    def __init__(self, width: float) -> None:
        super().__init__()
        c64, c128, c256, c512 = (scaled(n, width) for n in (64, 128, 256, 512))
        self.channels = c256
        self.down = nn.Sequential(
            conv_bn_relu(1, c64, 2),
            conv_bn_relu(c64, c128, 2),
            conv_bn_relu(c128, c128),
            conv_bn_relu(c128, c256, 2),
            conv_bn_relu(c256, c512),
        )
        self.wide = nn.Sequential(
            conv_bn_relu(c512, c512, dilation=2),
            conv_bn_relu(c512, c512, dilation=2),
            conv_bn_relu(c512, c512),
        )
        self.up = conv_bn_relu(c512, c256)

    def forward(self, x_B1HW: Tensor) -> Tensor:
        y = self.wide(self.down(x_B1HW))
        features: Tensor = self.up(nn.functional.interpolate(y, scale_factor=2, mode="nearest"))
        return features
