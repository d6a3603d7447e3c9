"""Iizuka's network behind the model door: physical units outside, [0, 1] inside; and its training loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.models.base import TrainableColorizer
from pipeline.models.iizuka.network import GLOBAL_SIDE, IizukaNetwork

AB_RANGE = (-110.0, 110.0)
"""The Lab chroma that the sigmoid's 0 and 1 stand for. sRGB's a* spans [-86.2, 98.3], its b* [-107.9, 94.5];
a range symmetric about 0 makes gray the sigmoid's 0.5, where an untrained network starts."""

NORMALISATION = "L/100; (ab - ab_range[0]) / (ab_range[1] - ab_range[0])"


def ab_to_unit(ab: Tensor) -> Tensor:
    """Lab units to the sigmoid's [0, 1]; any shape."""
    return (ab - AB_RANGE[0]) / (AB_RANGE[1] - AB_RANGE[0])


def unit_to_ab(unit: Tensor) -> Tensor:
    """The sigmoid's [0, 1] to Lab units; any shape."""
    return unit * (AB_RANGE[1] - AB_RANGE[0]) + AB_RANGE[0]


class IizukaColorizer(TrainableColorizer):
    """Global and local image priors, fused (Iizuka et al., SIGGRAPH 2016); the layers are in `network.py`."""

    method: ClassVar[str] = "iizuka"

    def __init__(self, width: float = 1.0, classes: int = 0, global_branch: bool = True) -> None:
        super().__init__()
        self._architecture = {"width": width, "classes": classes, "global_branch": global_branch}
        self.network = IizukaNetwork(width, classes, global_branch)

    def architecture(self) -> dict[str, Any]:
        return dict(self._architecture)

    def _run(self, L_B1HW: Tensor) -> tuple[Tensor, Tensor | None]:
        x = (L_B1HW / 100.0).contiguous(memory_format=torch.channels_last)
        square = (GLOBAL_SIDE, GLOBAL_SIDE)
        if self.network.global_features is None or x.shape[-2:] == square:
            ab, logits = self.network(x)
        else:
            resized = F.interpolate(x, square, mode="bilinear", antialias=True, align_corners=False)
            ab, logits = self.network(x, resized)
        return ab, logits

    @torch.inference_mode()
    def predict_ab(self, L_B1HW: Tensor, guides: Mapping[str, Tensor] | None = None) -> Tensor:
        """As `Colorizer.predict_ab`; h, w = H/2, W/2, and every value lies in AB_RANGE."""
        self.check_input(L_B1HW, guides)
        with torch.autocast(L_B1HW.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            unit, _ = self._run(L_B1HW)
        return unit_to_ab(unit.float()).contiguous()

    def forward(
        self, L_B1HW: Tensor, ab_B2HW: Tensor, label_B: Tensor, *, alpha: float, reduction: str
    ) -> dict[str, Tensor]:
        """The paper's loss (equation 3): squared error of normalised ab plus alpha x cross-entropy.

        The target is brought to the output's half size by averaging, as in the paper. `reduction` "sum" adds
        the squared errors of an image (then averages over images): the paper's Frobenius norm, to which its
        alpha = 1/300 belongs; "mean" averages over an image's values, 25,088 of them at 224x224.
        """
        unit, logits = self._run(L_B1HW)
        squared = (unit.float() - ab_to_unit(F.avg_pool2d(ab_B2HW, 2))).square()
        color = squared.flatten(1).sum(1).mean() if reduction == "sum" else squared.mean()
        losses = {"loss": color, "color": color.detach()}
        if logits is not None:
            # ignore_index leaves unlabelled images out; the sum over none of them must be 0, not NaN.
            known = (label_B >= 0).sum().clamp(min=1)
            cross = F.cross_entropy(logits.float(), label_B, ignore_index=-1, reduction="sum") / known
            losses |= {"loss": color + alpha * cross, "class": cross.detach()}
        return losses
