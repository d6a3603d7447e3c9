"""A plain CNN that predicts a distribution over 313 chroma bins, with or without class rebalancing.

Source: R. Zhang, P. Isola, A. Efros, "Colorful Image Colorization", ECCV 2016.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from pipeline.models.ab_bins import BINS, TEMPERATURE, BinHead, annealed_mean, target_at
from pipeline.models.base import Objective, Temperature, TrainableColorizer, Width
from pipeline.models.blocks import EncoderDecoder, OutputConv


class ClassificationCnn(TrainableColorizer):
    """The same trunk as the Regression CNN; the colour is the annealed mean of the predicted distribution.

    `width` of the paper's channels; `temperature` in (0, 1]. Trained with `Objective.uniform` None it is
    "CNN", with 0.5 (the paper's lambda) "CNN Weights".
    """

    method: ClassVar[str] = "classification_cnn"
    options: ClassVar[tuple[str, ...]] = ("width", "temperature")
    decoding: ClassVar[tuple[str, ...]] = ("temperature",)
    normalisation = "L/100; 313 ab bins of 10 Lab units"

    def __init__(self, width: Width = 1.0, temperature: Temperature = TEMPERATURE) -> None:
        super().__init__()
        self._architecture = {"width": width, "temperature": temperature}
        self.temperature = temperature
        self.trunk = EncoderDecoder(width)
        self.output = OutputConv(self.trunk.channels, BINS, 1)
        self.bins = BinHead()

    def architecture(self) -> dict[str, Any]:
        return dict(self._architecture)

    @property
    def bin_head(self) -> BinHead | None:
        return self.bins

    def _run(self, L_B1HW: Tensor) -> Tensor:
        x = (L_B1HW / 100.0).contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.output(self.trunk(x))
        return logits

    @torch.inference_mode()
    def predict_ab(self, L_B1HW: Tensor, guides: Mapping[str, Tensor] | None = None) -> Tensor:
        """As `Colorizer.predict_ab`; h, w = H/4, W/4."""
        self.check_input(L_B1HW, guides)
        with torch.autocast(L_B1HW.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            logits = self._run(L_B1HW)
        return annealed_mean(logits, self.temperature).contiguous()

    def forward(
        self, L_B1HW: Tensor, ab_B2HW: Tensor, label_B: Tensor, objective: Objective
    ) -> dict[str, Tensor]:
        """Cross-entropy against the soft-encoded truth at the output's size (equations 2 to 4)."""
        logits = self._run(L_B1HW)
        target = target_at(ab_B2HW, (logits.shape[2], logits.shape[3]))
        loss = self.bins.loss(logits, target, objective.uniform)
        return {"loss": loss, "color": loss.detach()}
