"""A small network on each pixel's features, with the common model interface, and its training loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.color.spaces import uv_to_ab
from pipeline.color.spaces_torch import lab_to_srgb_t, srgb_to_yuv_t
from pipeline.models.base import Objective, TrainableColorizer, Width
from pipeline.models.blocks import OutputConv, scaled
from pipeline.models.efficientnet_lite import MAP_CHANNELS
from pipeline.models.methods.patch.bilateral import joint_bilateral
from pipeline.models.methods.patch.features import (
    DAISY_CHANNELS,
    PATCH_SIDE,
    SEMANTIC_MAPS,
    daisy,
    patches,
    semantic_encoder,
    semantic_maps,
)

HIDDEN = 256
UV_MAX = (0.436, 0.615)  # ITU-R BT.601's extremes of U and V, for Y in [0, 1]
AB_MAX = 110.0
TRAINING_STRIDE = 4  # neighbouring pixels are nearly equal: every fourth in both directions is trained on


class PatchColorizer(TrainableColorizer):
    """U and V of each pixel from its 7 x 7 patch, DAISY and a classifier's features; then a joint bilateral
    filter.

    Cheng, Yang and Sheng, "Deep Colorization", ICCV 2015. Their semantic feature is the share of each of 47
    scene labels in a segmentation; here it is the feature maps of EfficientNet-Lite0 at that place
    (at 1/8, 1/16 and 1/32), which need no labels. Its weights are those of its package and not part of this
    network's.
    `width` scales the three hidden layers of 256.
    """

    method: ClassVar[str] = "patch"
    exportable: ClassVar[bool] = False  # U and V become a and b in numpy
    options: ClassVar[tuple[str, ...]] = ("width",)
    normalisation = "(L-50)/25; U/0.436, V/0.615 (ITU-R BT.601)"

    def __init__(self, width: Width = 1.0) -> None:
        super().__init__()
        self._architecture = {"width": width}
        hidden = scaled(HIDDEN, width)
        # In a tuple it is no submodule: neither saved, nor trained, nor set to training mode.
        self._encoder = (semantic_encoder(),)
        self.near = _standardised(PATCH_SIDE**2 + DAISY_CHANNELS, hidden)
        self.semantic = nn.ModuleList(_standardised(MAP_CHANNELS[n], hidden) for n in SEMANTIC_MAPS)
        self.rest = nn.Sequential(
            nn.BatchNorm2d(hidden), nn.ReLU(), *_layer(hidden, hidden), *_layer(hidden, hidden)
        )
        self.output = OutputConv(hidden, 2, 1)
        nn.init.normal_(self.output.weight, std=0.01)  # training begins near gray
        nn.init.zeros_(self.output.bias)  # type: ignore[arg-type]

    def architecture(self) -> dict[str, Any]:
        return dict(self._architecture)

    def _unit_uv(self, L_B1HW: Tensor, stride: int) -> Tensor:
        """U and V over UV_MAX of every `stride`-th pixel, float32."""
        encoder = self._encoder[0].to(L_B1HW.device)
        features = torch.cat([patches(L_B1HW, stride), daisy(L_B1HW, stride)], 1)
        first = self.near(features)
        for layer, map_BChw in zip(self.semantic, semantic_maps(encoder, L_B1HW), strict=True):
            # A linear layer and interpolation can change places, and the maps are small.
            first = first + F.interpolate(
                layer(map_BChw), first.shape[-2:], mode="bilinear", align_corners=False
            )
        unit_uv: Tensor = self.output(self.rest(first))
        return unit_uv

    @torch.inference_mode()
    def predict_ab(self, L_B1HW: Tensor, guides: Mapping[str, Tensor] | None = None) -> Tensor:
        """As `Colorizer.predict_ab`; h, w = H/2, W/2."""
        self.check_input(L_B1HW, guides)
        with torch.autocast(L_B1HW.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            unit_uv = self._unit_uv(L_B1HW, 2)
        L_B1hw = F.avg_pool2d(L_B1HW, 2)
        uv = (unit_uv.clamp(-1, 1) * _uv_max(unit_uv)).movedim(1, -1)
        ab = uv_to_ab(L_B1hw[:, 0].cpu().numpy(), uv.cpu().numpy())
        ab_B2hw = torch.from_numpy(np.ascontiguousarray(np.moveaxis(ab, -1, 1), np.float32))
        return joint_bilateral(ab_B2hw.to(L_B1HW.device).clamp(-AB_MAX, AB_MAX), L_B1hw).contiguous()

    def forward(
        self, L_B1HW: Tensor, ab_B2HW: Tensor, label_B: Tensor, objective: Objective
    ) -> dict[str, Tensor]:
        """Squared error of U/0.436 and V/0.615 (the paper's least squares), of every fourth pixel's colour.

        The truth is the mean of 2 x 2 pixels; labels are not used.
        """
        unit_uv = self._unit_uv(L_B1HW, TRAINING_STRIDE)
        lab = F.avg_pool2d(torch.cat([L_B1HW, ab_B2HW], 1), 2)[..., ::2, ::2]
        truth = srgb_to_yuv_t(lab_to_srgb_t(lab))[:, 1:] / _uv_max(lab)
        squared = (unit_uv.float() - truth).square()
        loss = squared.flatten(1).sum(1).mean() if objective.reduction == "sum" else squared.mean()
        return {"loss": loss, "color": loss.detach()}


def _uv_max(like: Tensor) -> Tensor:
    return torch.tensor(UV_MAX, device=like.device)[:, None, None]


def _standardised(channels: int, outputs: int) -> nn.Sequential:
    """A linear layer over features brought to the training photographs' mean 0 and deviation 1."""
    return nn.Sequential(nn.BatchNorm2d(channels, affine=False), nn.Conv2d(channels, outputs, 1, bias=False))


def _layer(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
