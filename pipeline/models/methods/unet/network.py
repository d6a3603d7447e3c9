"""The U-Nets' layers: an encoder of five maps, a decoder that goes up through them, and heads.

O. Ronneberger, P. Fischer, T. Brox, "U-Net", MICCAI 2015; convolutions are padded, so that sizes are kept.
"""

from __future__ import annotations

import itertools

import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.blocks import UpStep, conv_bn_relu, linear_bn_relu, scaled
from pipeline.models.efficientnet_lite import (
    FEATURES,
    LITE0_BLOCKS,
    MAP_CHANNELS,
    LiteEncoder,
    conv_bn_relu6,
    gray_encoder,
    pretrained_lite0,
)

STRIDE = 32
"""Of the deepest map: inputs are padded to whole multiples of it."""

BLOCKS = sum(LITE0_BLOCKS)
VECTOR = 256
"""Numbers that describe the whole picture, as in the paper."""


class PlainEncoder(nn.Module):
    """Five maps at 1/2 to 1/32, each of two convolutions; at ``width=1`` U-Net's 64 to 1024 channels."""

    def __init__(self, width: float) -> None:
        super().__init__()
        self.channels = tuple(scaled(n, width) for n in (64, 128, 256, 512, 1024))
        self.feature_channels = self.channels[-1]
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

    def features(self, deepest_BChw: Tensor) -> Tensor:
        """The mean of the deepest map, B x C."""
        return deepest_BChw.mean((2, 3))


class PretrainedEncoder(nn.Module):
    """EfficientNet-Lite0 on gray; the stem and the first `frozen` blocks do not learn, which a third of the
    training time is saved by: edges and textures need no learning again.

    What learns keeps ImageNet's means and variances in its batch normalisation: those of small crops in old
    light are others, and a job's photographs are larger (H. Touvron et al., "Fixing the train-test resolution
    discrepancy", NeurIPS 2019).

    With all BLOCKS frozen it is the pretrained package's own and no part of `state_dict`: weights files hold
    only what was learned. `top` adds the classifier's last convolution, for `features`.
    """

    def __init__(self, frozen: int, top: bool) -> None:
        super().__init__()
        self.channels, self.feature_channels = MAP_CHANNELS, FEATURES
        self.lite = LiteEncoder(inputs=1)
        self.top = conv_bn_relu6(MAP_CHANNELS[-1], FEATURES, 1) if top else None
        self.frozen: list[nn.Module] = [self.lite.stem, *self.lite.blocks[:frozen]] if frozen else []
        self.blocks_frozen, self.whole = frozen, frozen == BLOCKS
        if self.whole:
            self.fill()
            self.frozen = [self.lite] if self.top is None else [self.lite, self.top]
            self.register_state_dict_post_hook(_leave_out)  # type: ignore[no-untyped-call]
            self.register_load_state_dict_pre_hook(_keep_own)  # type: ignore[no-untyped-call]
        for module in self.frozen:
            module.requires_grad_(False)

    def fill(self) -> None:
        """Take the ImageNet weights. Raises ConfigError where their package is missing or another."""
        classifier = pretrained_lite0()
        self.lite.load_state_dict(gray_encoder(classifier).state_dict())
        if self.top is not None:
            self.top.load_state_dict(classifier.head.state_dict())

    def train(self, mode: bool = True) -> PretrainedEncoder:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, x_B1HW: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.lite(x_B1HW, self.blocks_frozen)
        return maps

    def features(self, deepest_B320hw: Tensor) -> Tensor:
        """The classifier's features, B x 1280."""
        assert self.top is not None
        pooled: Tensor = self.top(deepest_B320hw).mean((2, 3))
        return pooled


def _leave_out(module: nn.Module, state: dict[str, Tensor], prefix: str, _: object) -> None:
    for name in [name for name in state if name.startswith(prefix)]:
        del state[name]


def _keep_own(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    own = itertools.chain(module.named_parameters(), module.named_buffers())
    for name, tensor in own:
        state.setdefault(prefix + name, tensor)


class GlobalFeatures(nn.Module):
    """Features of the whole picture, added at every place of the deepest map.

    The global branch of Iizuka et al. 2016 and their fusion layer (section 3.3, equation 2) for a U-Net: the
    decoder's first convolution is their W, so that the vector needs a layer of its own only.
    """

    def __init__(self, features: int, channels: int) -> None:
        super().__init__()
        self.vector = linear_bn_relu(features, VECTOR)
        self.spread = nn.Linear(VECTOR, channels)

    def forward(self, features_BC: Tensor, deepest_BChw: Tensor) -> tuple[Tensor, Tensor]:
        """The map with the vector added, and the vector, B x VECTOR."""
        vector_BV = self.vector(features_BC)
        return deepest_BChw + self.spread(vector_BV)[:, :, None, None], vector_BV


class Decoder(nn.Module):
    """From the deepest of five maps up to 1/2, joining each map on the way. Returns those at 1/4 and 1/2."""

    def __init__(self, map_channels: tuple[int, ...], channels: tuple[int, ...]) -> None:
        super().__init__()
        steps, inputs = [], map_channels[-1]
        for skip, outputs in zip(reversed(map_channels[:-1]), channels, strict=True):
            steps.append(UpStep(inputs, skip, outputs))
            inputs = outputs
        self.steps = nn.ModuleList(steps)

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        x, outputs = maps[-1], []
        for step, skip in zip(self.steps, reversed(maps[:-1]), strict=True):
            x = step(x, skip)
            outputs.append(x)
        return outputs[-2], outputs[-1]


def padded(x_B1HW: Tensor) -> Tensor:
    """The input with its edge repeated to the right and below, up to whole multiples of STRIDE."""
    down, right = -x_B1HW.shape[2] % STRIDE, -x_B1HW.shape[3] % STRIDE
    return F.pad(x_B1HW, (0, right, 0, down), mode="replicate") if down or right else x_B1HW
