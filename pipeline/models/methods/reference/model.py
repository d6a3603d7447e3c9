"""Colour from a similar picture, with the common model interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from pipeline.models.base import Colorizer
from pipeline.models.methods.reference.matching import match, vote
from pipeline.models.methods.reference.superpixels import F32, Superpixels, mean_of, superpixels
from pipeline.models.methods.reference.welsh import remap, transfer
from pipeline.models.propagation import propagate

SCRIBBLE_RADIUS = 1.0  # pixels: a centre and the four around it


class _ByReference(Colorizer):
    """Colours each image by the guide "reference", B x 3 x h x w: L*, a*, b* of a similar colour picture."""

    guides: ClassVar[frozenset[str]] = frozenset({"reference"})
    needs: ClassVar[frozenset[str]] = guides

    def predict_ab(self, L_B1HW: Tensor, guides: Mapping[str, Tensor] | None = None) -> Tensor:
        """As `Colorizer.predict_ab`; h, w = H, W. Raises ValueError where the reference is missing."""
        self.check_input(L_B1HW, guides)
        reference_B3hw = self.picture_guide(guides, "reference", 3, L_B1HW.shape[0])
        assert reference_B3hw is not None
        pairs = zip(L_B1HW[:, 0].float().cpu().numpy(), reference_B3hw.float().cpu().numpy(), strict=True)
        ab_B2HW = np.stack([self._transfer(L_HW, reference_3hw) for L_HW, reference_3hw in pairs])
        return torch.from_numpy(ab_B2HW).to(L_B1HW.device)

    def _transfer(self, L_HW: F32, reference_3hw: F32) -> F32:
        raise NotImplementedError


class ReferenceColorizer(_ByReference):
    """Gupta, Chia, Rajan, Ng and Zhiyong, "Image Colorization Using Similar Images", ACM Multimedia 2012."""

    method: ClassVar[str] = "reference"

    def _transfer(self, L_HW: F32, reference_3hw: F32) -> F32:
        target = superpixels(L_HW)
        reference = superpixels(reference_3hw[0], remap(reference_3hw[0], L_HW))
        chroma_S2 = mean_of(reference.labels_HW, np.moveaxis(reference_3hw[1:], 0, -1))
        best_T, confidence_T = match(target, reference)
        ab_T2, confidence_T = vote(target, chroma_S2[best_T], confidence_T)
        return propagate(L_HW, *micro_scribbles(L_HW, target, ab_T2, confidence_T))


class WelshColorizer(_ByReference):
    """Welsh, Ashikhmin and Mueller, "Transferring Color to Greyscale Images", SIGGRAPH 2002."""

    method: ClassVar[str] = "welsh"

    def _transfer(self, L_HW: F32, reference_3hw: F32) -> F32:
        return transfer(L_HW, reference_3hw)


def micro_scribbles(L_HW: F32, target: Superpixels, ab_T2: F32, confidence_T: F32) -> tuple[F32, F32]:
    """Chroma float32[2,H,W] and confidence float32[H,W]: each superpixel's colour, on its middle pixels."""
    height, width = L_HW.shape
    rows, columns = np.indices(L_HW.shape, dtype=np.float32)
    centres = mean_of(target.labels_HW, np.stack([rows, columns], -1))[target.labels_HW]
    near = np.hypot(rows - centres[..., 0], columns - centres[..., 1]) <= SCRIBBLE_RADIUS
    confidence_HW = np.where(near, confidence_T[target.labels_HW], 0).astype(np.float32)
    ab_2HW = np.ascontiguousarray(np.moveaxis(ab_T2[target.labels_HW], -1, 0)).reshape(2, height, width)
    return ab_2HW, confidence_HW
