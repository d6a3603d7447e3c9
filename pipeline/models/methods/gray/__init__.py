"""No colour: the method for images that somebody wants to keep gray."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from pipeline.models.base import Colorizer
from pipeline.records import GRAY


class GrayColorizer(Colorizer):
    """Gives each image the chroma 0."""

    method: ClassVar[str] = GRAY

    def predict_ab(self, L_B1HW: Tensor, guides: Mapping[str, Tensor] | None = None) -> Tensor:
        """As `Colorizer.predict_ab`; h, w = 8, 8, whatever the size."""
        self.check_input(L_B1HW, guides)
        return L_B1HW.new_zeros((L_B1HW.shape[0], 2, 8, 8))
