"""Colour from scribbles alone: Levin, Lischinski, Weiss, "Colorization using Optimization", SIGGRAPH 2004."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from pipeline.models.base import Colorizer
from pipeline.models.propagation import propagate


class ScribbleColorizer(Colorizer):
    """Colours each image by the guide "scribbles", B x 3 x H x W: a, b in Lab units and confidence in [0, 1].

    There is nothing to learn. The equations are solved on a CPU at the size given, whatever the device.
    """

    method: ClassVar[str] = "scribble"
    guides: ClassVar[frozenset[str]] = frozenset({"scribbles"})
    needs: ClassVar[frozenset[str]] = guides

    def predict_ab(self, L_B1HW: Tensor, guides: Mapping[str, Tensor] | None = None) -> Tensor:
        """As `Colorizer.predict_ab`; h, w = H, W. Raises ValueError where scribbles are missing,
        hold nothing, or are of another size."""
        self.check_input(L_B1HW, guides)
        hints_B3HW = self.picture_guide(guides, "scribbles", 3, L_B1HW.shape[0])
        assert hints_B3HW is not None
        if hints_B3HW.shape[2:] != L_B1HW.shape[2:]:
            raise ValueError(
                f"scribble needs the scribbles at the photograph's size {tuple(L_B1HW.shape[2:])}; "
                f"got {tuple(hints_B3HW.shape[2:])}"
            )
        pairs = zip(L_B1HW[:, 0].float().cpu().numpy(), hints_B3HW.float().cpu().numpy(), strict=True)
        ab_B2HW = np.stack([propagate(L_HW, hints_3HW[:2], hints_3HW[2]) for L_HW, hints_3HW in pairs])
        return torch.from_numpy(ab_B2HW).to(L_B1HW.device)
