"""The networks and the fusion layer of "Let there be Color!" (Iizuka, Simo-Serra, Ishikawa, SIGGRAPH 2016).

Tensors in this file are normalised: L in [0, 1], ab in [0, 1] (see `model.py` for physical units). At
``width=1`` the channels are the paper's Table 1; ``width`` scales them all.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GLOBAL_SIDE = 224
"""The global branch sees a fixed square (paper, section 3.1.2); its first fully connected layer needs it."""

CHANNEL_STEP = 16
"""Scaled channels are whole multiples of this, which is what vector units like; the paper's own all are."""


def scaled(channels: int, width: float) -> int:
    """The paper's channel count times `width`, to the nearest positive multiple of CHANNEL_STEP."""
    return max(CHANNEL_STEP, round(channels * width / CHANNEL_STEP) * CHANNEL_STEP)


def conv_bn_relu(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution, batch normalisation (whose shift replaces the bias), ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def linear_bn_relu(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU(inplace=True)
    )


def stack(inputs: int, layers: list[tuple[int, int]], width: float) -> nn.Sequential:
    """Convolutions after one another; `layers` holds (paper channels, stride)."""
    blocks = []
    for channels, stride in layers:
        blocks.append(conv_bn_relu(inputs, scaled(channels, width), stride))
        inputs = scaled(channels, width)
    return nn.Sequential(*blocks)


class GlobalFeatures(nn.Module):
    """Global features network: B x 512 x 28 x 28 low-level features to the 512-vector and the 256-vector."""

    def __init__(self, width: float) -> None:
        super().__init__()
        c512 = scaled(512, width)
        self.convs = stack(c512, [(512, 2), (512, 1), (512, 2), (512, 1)], width)
        side = GLOBAL_SIDE // 32
        self.fc1 = linear_bn_relu(c512 * side * side, scaled(1024, width))
        self.fc2 = linear_bn_relu(scaled(1024, width), c512)
        self.fc3 = linear_bn_relu(c512, scaled(256, width))

    def forward(self, low_B512x28x28: Tensor) -> tuple[Tensor, Tensor]:
        # NCHW order before flattening, so that weights do not depend on the memory format of the run.
        flat = self.convs(low_B512x28x28).contiguous().flatten(1)
        vector_B512 = self.fc2(self.fc1(flat))
        return vector_B512, self.fc3(vector_B512)


class Fusion(nn.Module):
    """y = relu(bn(b + W [global; mid])) at every place (paper, equation 2): a 1x1 convolution.

    The global half of W acts on one vector per image, so it is applied once and broadcast.
    """

    def __init__(self, width: float, global_branch: bool) -> None:
        super().__init__()
        c256 = scaled(256, width)
        self.global_channels = c256 if global_branch else 0
        self.conv = nn.Conv2d(self.global_channels + c256, c256, 1)
        self.norm = nn.BatchNorm2d(c256)

    def forward(self, mid_B256hw: Tensor, global_B256: Tensor | None) -> Tensor:
        weight = self.conv.weight
        mixed = F.conv2d(mid_B256hw, weight[:, self.global_channels :], self.conv.bias)
        if global_B256 is not None:
            mixed = mixed + F.linear(global_B256, weight[:, : self.global_channels, 0, 0])[:, :, None, None]
        return F.relu(self.norm(mixed))


class Colorization(nn.Module):
    """Colorization network: fused features at 1/8 to normalised ab at 1/2 of the input's size."""

    def __init__(self, width: float) -> None:
        super().__init__()
        self.at_eighth = stack(scaled(256, width), [(128, 1)], width)
        self.at_quarter = stack(scaled(128, width), [(64, 1), (64, 1)], width)
        self.at_half = stack(scaled(64, width), [(32, 1)], width)
        self.output = nn.Conv2d(scaled(32, width), 2, 3, padding=1)

    def forward(self, fused_B256hw: Tensor) -> Tensor:
        x = F.interpolate(self.at_eighth(fused_B256hw), scale_factor=2, mode="nearest")
        x = F.interpolate(self.at_quarter(x), scale_factor=2, mode="nearest")
        x = self.at_half(x)
        # bfloat16 near 0.5 has steps of 1/256, almost one ab unit: the last layer is always float32.
        with torch.autocast(x.device.type, enabled=False):
            return torch.sigmoid(self.output(x.float()))


class IizukaNetwork(nn.Module):
    """The whole network on normalised tensors.

    `classes` is the number of training labels (0: no classification head). Without `global_branch` it is the
    paper's baseline: no global features, hence nothing to classify.
    """

    def __init__(self, width: float = 1.0, classes: int = 0, global_branch: bool = True) -> None:
        super().__init__()
        low = [(64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (512, 1)]
        self.low = stack(1, low, width)
        self.mid = stack(scaled(512, width), [(512, 1), (256, 1)], width)
        self.global_features = GlobalFeatures(width) if global_branch else None
        self.classifier = None
        if global_branch and classes:
            self.classifier = nn.Sequential(
                linear_bn_relu(scaled(512, width), scaled(256, width)), nn.Linear(scaled(256, width), classes)
            )
        self.fusion = Fusion(width, global_branch)
        self.colorization = Colorization(width)

    def forward(self, x_B1HW: Tensor, x_B1x224x224: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """L in [0, 1], H and W multiples of 8, and the same image at 224x224.

        The second is left out where the first already is 224x224: the low-level weights are shared, so their
        features are then computed once. Returns ab in [0, 1] as B x 2 x H/2 x W/2 and the class logits (None
        without a classifier).
        """
        low_B512hw = self.low(x_B1HW)
        global_B256, logits = None, None
        if self.global_features is not None:
            low_for_global = low_B512hw if x_B1x224x224 is None else self.low(x_B1x224x224)
            vector_B512, global_B256 = self.global_features(low_for_global)
            if self.classifier is not None:
                logits = self.classifier(vector_B512)
        fused = self.fusion(self.mid(low_B512hw), global_B256)
        return self.colorization(fused), logits
