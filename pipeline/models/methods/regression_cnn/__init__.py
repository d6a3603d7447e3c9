"""A plain encoder-decoder CNN that regresses chroma: the baseline called "Regression CNN"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from pipeline.models.ab_bins import target_at
from pipeline.models.base import Objective, TrainableColorizer, Width
from pipeline.models.blocks import EncoderDecoder, OutputConv

AB_SCALE = 110.0


class RegressionCnn(TrainableColorizer):
    """Squared error of ab, no global features, no skip connections: what averages all plausible colours.

    The L2 baseline of Zhang, Isola and Efros, ECCV 2016 (section 3.1, "L2"), at `width` of their channels.
    """

    method: ClassVar[str] = "regression_cnn"
    options: ClassVar[tuple[str, ...]] = ("width",)
    normalisation = "L/100; ab/110"

    def __init__(self, width: Width = 1.0) -> None:
        super().__init__()
        self._architecture = {"width": width}
        self.trunk = EncoderDecoder(width)
        self.output = OutputConv(self.trunk.channels, 2, 1)

    def architecture(self) -> dict[str, Any]:
        return dict(self._architecture)

    def _run(self, L_B1HW: Tensor) -> Tensor:
        x = (L_B1HW / 100.0).contiguous(memory_format=torch.channels_last)
        ab: Tensor = self.output(self.trunk(x))
        return ab

    @torch.inference_mode()
    def predict_ab(self, L_B1HW: Tensor, guides: Mapping[str, Tensor] | None = None) -> Tensor:
        """As `Colorizer.predict_ab`; h, w = H/4, W/4."""
        self.check_input(L_B1HW, guides)
        with torch.autocast(L_B1HW.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            unit = self._run(L_B1HW)
        return (unit.float() * AB_SCALE).contiguous()

    def forward(
        self, L_B1HW: Tensor, ab_B2HW: Tensor, label_B: Tensor, objective: Objective
    ) -> dict[str, Tensor]:
        """Squared error of ab/110 against the truth averaged to the output's size; labels are not used."""
        unit = self._run(L_B1HW).float()
        squared = (unit - target_at(ab_B2HW, (unit.shape[2], unit.shape[3])) / AB_SCALE).square()
        loss = squared.flatten(1).sum(1).mean() if objective.reduction == "sum" else squared.mean()
        return {"loss": loss, "color": loss.detach()}
