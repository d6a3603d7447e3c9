"""The method "borrowed": use the chroma of a colour picture of the photograph, made by any tool or person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import scipy
import torch
from PIL import Image
from torch import Tensor

from pipeline.errors import FailureCode, ImageFailure
from pipeline.models.base import Colorizer
from pipeline.models.methods.borrowed.placement import F32, F64, Placement, coarse_likeness, place

ALIKE = 0.4
"""Correlation of local detail from which on a picture counts as one of the photograph. Photographs of
tests/photos reach 0.16 with each other, and 0.88 to 1 with copies of themselves that were cut, scaled,
brightened or framed."""

TURNED_ALIKE = 0.6
"""The same of a picture that was turned: of twenty ways to turn it one resembles the photograph by chance."""

SURE = 0.8
"""From here on no other way round is tried: a symmetrical picture is not so like its mirror image."""

COVERED = 0.9
"""Share of the photograph that a picture must show."""

ANGLE = 0.5
"""Degrees by which a picture may be turned or sheared; up to this it is set right."""

_SMALLEST = 16  # pixels along a side
_SAME_PLACE = 0.35  # pixels of the picture, at a corner: it is not resampled for less
_STRAIGHT = 2.0  # degrees of shear, which turning alone does not make
_TILTS = [sign * degrees for degrees in range(3, 22, 3) for sign in (1, -1)]
_WAYS = {
    Image.Transpose.FLIP_LEFT_RIGHT: "mirrored",
    Image.Transpose.ROTATE_180: "turned by 180 degrees",
    Image.Transpose.FLIP_TOP_BOTTOM: "upside down and mirrored",
    Image.Transpose.ROTATE_270: "turned by 90 degrees to the left",
    Image.Transpose.ROTATE_90: "turned by 90 degrees to the right",
    Image.Transpose.TRANSPOSE: "turned by 90 degrees and mirrored",
    Image.Transpose.TRANSVERSE: "turned by 90 degrees and mirrored",
}
"""How a picture lies that this sets right."""


class BorrowedColorizer(Colorizer):
    """Colours each image by the guide "picture", B x 3 x h x w: L*, a*, b* of a colour picture of it, of any
    size. The picture is registered to the lightness; its own is not used otherwise."""

    method: ClassVar[str] = "borrowed"
    guides: ClassVar[frozenset[str]] = frozenset({"picture"})
    needs: ClassVar[frozenset[str]] = guides

    def predict_ab(self, L_B1HW: Tensor, guides: Mapping[str, Tensor] | None = None) -> Tensor:
        """As `Colorizer.predict_ab`; h, w are the picture's. Raises ValueError for another shape,
        ImageFailure (GUIDE_INVALID) if it is not a picture of the photograph or has another orientation."""
        self.check_input(L_B1HW, guides)
        assert guides is not None
        picture_B3hw = guides["picture"]
        if picture_B3hw.ndim != 4 or picture_B3hw.shape[:2] != (L_B1HW.shape[0], 3):
            shape = tuple(picture_B3hw.shape)
            raise ValueError(f"borrowed needs the picture as {L_B1HW.shape[0]} x 3 x h x w; got {shape}")
        pairs = zip(L_B1HW[:, 0].float().cpu().numpy(), picture_B3hw.float().cpu().numpy(), strict=True)
        ab_B2hw = np.stack([borrowed_chroma(L_HW, picture_3hw) for L_HW, picture_3hw in pairs])
        return torch.from_numpy(ab_B2hw).to(L_B1HW.device)


def borrowed_chroma(L_HW: F32, picture_3hw: F32) -> F32:
    """Chroma float32[2,h,w] for the whole frame of a photograph, at the size of the picture.

    Raises:
        ImageFailure: GUIDE_INVALID, and why the picture is refused.
    """
    height, width = picture_3hw.shape[1:]
    if min(height, width) < _SMALLEST:
        raise _refused(f"the picture of {width} x {height} is too small to be compared")
    placement = place(L_HW, picture_3hw[0])
    check(placement, L_HW, picture_3hw[0])
    return _laid(picture_3hw[1:], placement.map_23)


def check(placement: Placement, L_HW: F32, picture_hw: F32) -> None:
    """Raises ImageFailure (GUIDE_INVALID) with the reason why a picture that lies so is not taken."""
    if placement.alike < SURE and (way := _other_way(L_HW, picture_hw, max(TURNED_ALIKE, placement.alike))):
        raise _refused(f"the picture is {way}; give it the orientation of the photograph")
    percent = f"{max(0.0, placement.alike):.0%}".replace("%", " %")
    if placement.alike < ALIKE:
        raise _refused(
            f"the picture shows something else: its detail matches the photograph's by {percent}, but "
            f"{ALIKE * 100:.0f} % are required"
        )
    if placement.alike < SURE and abs(placement.shear) > _STRAIGHT:
        raise _refused(
            f"the picture shows something else: its detail matches the photograph's by {percent} at most, "
            f"if sheared by {abs(placement.shear):.0f} degrees"
        )
    if abs(placement.angle) > ANGLE or abs(placement.shear) > ANGLE:
        raise _refused(
            f"the picture is turned by {_degrees(placement.angle)}, sheared by {abs(placement.shear):.1f} "
            f"(match {percent}); at most {ANGLE} degrees are allowed"
        )
    if placement.covered < COVERED:
        raise _refused(
            f"the picture shows {int(placement.covered * 100)} % of the photograph (match {percent}), but "
            f"{COVERED * 100:.0f} % are required"
        )


def _other_way(L_HW: F32, picture_hw: F32, least: float) -> str | None:
    """How a picture lies that resembles the photograph more than `least` when it is turned; None: no way."""
    image = Image.fromarray(picture_hw)
    for turn, words in _WAYS.items():
        if _resembles(L_HW, np.asarray(image.transpose(turn)), least):
            return words
    for tilt in _TILTS:
        turned = np.asarray(image.rotate(tilt, Image.Resampling.BILINEAR))
        if (placement := _resembles(L_HW, turned, least)) is not None:
            return f"turned by {_degrees(tilt + placement.angle)}"
    return None


def _resembles(L_HW: F32, picture_hw: F32, least: float) -> Placement | None:
    """The placement in a picture that is more alike than `least`; None in one that is not."""
    if coarse_likeness(L_HW, picture_hw) <= least:
        return None
    placement = place(L_HW, picture_hw)
    whole = abs(placement.shear) < _STRAIGHT and placement.covered > COVERED
    return placement if placement.alike > least and whole else None


def _degrees(angle: float) -> str:
    return f"{abs(angle):.1f} degrees {'clockwise' if angle > 0 else 'counterclockwise'}"


def _refused(message: str) -> ImageFailure:
    return ImageFailure(FailureCode.GUIDE_INVALID, message)


def _laid(ab_2hw: F32, map_23: F64) -> F32:
    """The picture's chroma over the photograph's frame; beyond the picture's edge that of the edge."""
    height, width = ab_2hw.shape[1:]
    corners_34 = np.array([[0, 1, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1]], np.float64)
    apart = (map_23 @ corners_34 - corners_34[:2]) * [[width], [height]]
    if np.abs(apart).max() < _SAME_PLACE:
        return ab_2hw
    (a, b, c), (d, e, f) = map_23
    # in rows and columns of pixels, whose middles lie half a pixel inside
    matrix_22 = np.array([[e, d * height / width], [b * width / height, a]])
    offset_2 = matrix_22 @ [0.5, 0.5] + [f * height, c * width] - 0.5
    planes = [
        scipy.ndimage.affine_transform(plane, matrix_22, offset_2, order=1, mode="nearest")
        for plane in ab_2hw
    ]
    return np.stack(planes).astype(np.float32)
