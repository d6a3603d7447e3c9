"""The networks and the fusion layer of "Let there be Color!" (Iizuka, Simo-Serra, Ishikawa, SIGGRAPH 2016).

Tensors in this file are normalised: L in [0, 1], ab in [0, 1] (see `model.py` for physical units). At
``width=1`` the channels are the paper's Table 1; ``width`` scales them all.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.blocks import OutputConv, conv_bn_relu, linear_bn_relu, scaled

GLOBAL_SIDE = 224
"""The global branch sees a fixed square (paper, section 3.1.2); its first fully connected layer needs it.
Small networks for small photographs may take a smaller one."""


def stack(inputs: int, layers: list[tuple[int, int]], width: float) -> nn.Sequential:
    """Convolutions after one another; `layers` holds (paper channels, stride)."""
    blocks = []
    for channels, stride in layers:
        blocks.append(conv_bn_relu(inputs, scaled(channels, width), stride))
        inputs = scaled(channels, width)
    return nn.Sequential(*blocks)


class GlobalFeatures(nn.Module):
    """Global features network: B x 512 x 28 x 28 low-level features to the 512-vector and the 256-vector."""

    def __init__(self, width: float, global_side: int) -> None:
        super().__init__()
        c512 = scaled(512, width)
        self.convs = stack(c512, [(512, 2), (512, 1), (512, 2), (512, 1)], width)
        side = global_side // 32
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
    """Colorization network: fused features at 1/8 to `outputs` channels in [0, 1] at 1/2 of the size."""

    def __init__(self, width: float, outputs: int) -> None:
        super().__init__()
        self.at_eighth = stack(scaled(256, width), [(128, 1)], width)
        self.at_quarter = stack(scaled(128, width), [(64, 1), (64, 1)], width)
        self.at_half = stack(scaled(64, width), [(32, 1)], width)
        self.output = OutputConv(scaled(32, width), outputs, 3, padding=1)

    def forward(self, fused_B256hw: Tensor) -> Tensor:
        x = F.interpolate(self.at_eighth(fused_B256hw), scale_factor=2, mode="nearest")
        x = F.interpolate(self.at_quarter(x), scale_factor=2, mode="nearest")
        return torch.sigmoid(self.output(self.at_half(x)))


class IizukaNetwork(nn.Module):
    """The whole network on normalised tensors; `outputs` channels, 2 for normalised ab.

    `classes` is the number of training labels (0: no classification head). Without `global_branch` it is the
    paper's baseline: no global features, hence nothing to classify.
    """

    def __init__(
        self,
        width: float = 1.0,
        classes: int = 0,
        global_branch: bool = True,
        global_side: int = GLOBAL_SIDE,
        outputs: int = 2,
    ) -> None:
        super().__init__()
        low = [(64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (512, 1)]
        self.low = stack(1, low, width)
        self.mid = stack(scaled(512, width), [(512, 1), (256, 1)], width)
        self.global_features = GlobalFeatures(width, global_side) if global_branch else None
        self.classifier = None
        if global_branch and classes:
            self.classifier = nn.Sequential(
                linear_bn_relu(scaled(512, width), scaled(256, width)), nn.Linear(scaled(256, width), classes)
            )
        self.fusion = Fusion(width, global_branch)
        self.colorization = Colorization(width, outputs)

    def forward(self, x_B1HW: Tensor, square_B1ss: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """L in [0, 1], H and W multiples of 8, and the same image as a square of `global_side` (224).

        The second is left out where the first already is that: the low-level weights are shared, so their
        features are then computed once. Returns the outputs in [0, 1] at H/2 x W/2 and the class logits (None
        without a classifier).
        """
        low_B512hw = self.low(x_B1HW)
        global_B256, logits = None, None
        if self.global_features is not None:
            low_for_global = low_B512hw if square_B1ss is None else self.low(square_B1ss)
            vector_B512, global_B256 = self.global_features(low_for_global)
            if self.classifier is not None:
                logits = self.classifier(vector_B512)
        fused = self.fusion(self.mid(low_B512hw), global_B256)
        return self.colorization(fused), logits
