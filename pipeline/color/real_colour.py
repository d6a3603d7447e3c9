"""Find real colour in a black-and-white scan: a colour target, a stamp, a mount, hand colouring.

The chroma of a toned scan follows its lightness (see `toning`). Real colour is far from that curve, strong,
and fills an area; scanner fringes and JPEG noise do not. Silver mirrors are bluish but weak; stains, foxing
and yellowed edges are brown or yellow, so that those hues must lie further away than others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pipeline.color.spaces import srgb_to_lab
from pipeline.color.toning import averaged_down, residuals

U8 = NDArray[np.uint8]
F64 = NDArray[np.float64]

_SIDE = 384  # pixels of the longer side: a stamp of a hundredth of it is four pixels wide
_TONE = 0.8  # of the pixels nearest to the curve decide on it
_ROUNDS = 3
_MOUNT = 0.15  # of each side has no say in the curve: a mount would make one of its own
# In Lab units. On 99 archive scans, as they are and as JPEGs of quality 30, nothing counts;
# docs/output.md says how that was measured.
_DISTANCE, _CHROMA = 16.0, 16.0
_STAIN_DISTANCE = 34.0
_GRAYEST = 16  # levels between the channels of a pixel: a chroma of 16 has 19 or more
_STAIN_HUES = (40.0, 115.0)  # degrees: brown, ochre, yellow
_GAP = 13  # pixels between areas that are one, such as the fields of a colour target
_WEAKER, _GROWTH = 0.6, 6  # of the limits, and pixels from what is over them: the rest of the same area
_SQUARE = np.ones((3, 3), np.bool_)  # neighbours
_MANY_COLOURS, _MOST_OF_IT = 15.0, 0.5  # of a target: spread of ab along its shorter axis; of its rectangle
_EDGE = 3  # pixels by which an area is widened before its edge is softened
_LEAST_SHARE = 0.0005


@dataclass(frozen=True)
class RealColour:
    """Real colour of one picture.

    Attributes:
        share: of the picture's area, 0 to 1.
        mask: uint8[h,w], a small picture of where it is: 255 inside, 0 outside, between them a soft edge.
    """

    share: float
    mask: U8

    def box(self, height: int, width: int) -> tuple[slice, slice]:
        """The rows and columns of the whole picture, of this size, outside which there is none of it."""
        used = self.mask > 0
        return _span(np.any(used, axis=1), height), _span(np.any(used, axis=0), width)


def _span(used: NDArray[np.bool_], full: int) -> slice:
    """With the neighbours between which the mask is interpolated."""
    (at,), scale = np.nonzero(used), full / len(used)
    return slice(max(0, int((at[0] - 1) * scale)), min(full, int((at[-1] + 2) * scale) + 1))


def find_real_colour(rgb8: U8) -> RealColour | None:
    """Where a scan that as a whole is gray or toned has real colour; None where it has none.

    rgb8: uint8[H,W,3] sRGB, transparent parts flattened. Raises ValueError for another array.
    """
    if rgb8.dtype != np.uint8 or rgb8.ndim != 3 or rgb8.shape[2] != 3 or rgb8.size == 0:
        raise ValueError(f"expected uint8[H,W,3]; got {rgb8.dtype} {rgb8.shape}")
    small = averaged_down(rgb8, _SIDE)
    if int(np.ptp(small, axis=2).max()) < _GRAYEST:
        return None
    lab = srgb_to_lab(small.astype(np.float64) / 255).astype(np.float64)
    beside = _distance(lab)
    areas = _opened(beside > 1)
    if areas.mean() < _LEAST_SHARE:
        return None
    from scipy import ndimage  # for the few that have real colour

    areas = ndimage.binary_dilation(areas, _SQUARE, _GROWTH, mask=beside > _WEAKER)
    padded = np.pad(areas, _GAP)  # so that nothing is joined to the picture's edge
    joined = ndimage.minimum_filter(ndimage.maximum_filter(padded, _GAP), _GAP)[_GAP:-_GAP, _GAP:-_GAP]
    _fill_targets(joined, lab, beside)
    wider = ndimage.maximum_filter(joined, 2 * _EDGE + 1)
    soft = ndimage.uniform_filter(wider.astype(np.float64), 2 * _EDGE - 1)
    return RealColour(float(joined.mean()), np.rint(soft * 255).astype(np.uint8))


def _fill_targets(joined: NDArray[np.bool_], lab: F64, beside: F64) -> None:
    """Fill the rectangles of areas of many colours, in place: a target has brown and gray fields too."""
    from scipy import ndimage

    labels, _ = ndimage.label(joined, _SQUARE)
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        inside = labels[place] == number
        ab_n2 = lab[place][inside & (beside[place] > _WEAKER)][:, 1:]
        shorter = np.sqrt(max(np.linalg.eigvalsh(np.atleast_2d(np.cov(ab_n2.T)))[0], 0))
        if shorter > _MANY_COLOURS and inside.mean() > _MOST_OF_IT:
            joined[place] = True


def _opened(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Without what is narrower than 3 pixels."""
    image = Image.fromarray((mask * 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.MinFilter(3)).filter(ImageFilter.MaxFilter(3))) > 0


def _distance(lab: F64) -> F64:
    """float64[h,w]: how far a pixel's colour is beside the curve of the tone, and how strong; 1: real."""
    height, width = lab.shape[:2]
    lightness, ab_n2 = np.clip(lab[..., 0].reshape(-1), 0, 100), lab[..., 1:].reshape(-1, 2)
    strength = np.hypot(*ab_n2.T) / _CHROMA
    if strength.max() < 1:
        return np.asarray(strength.reshape(height, width))
    inner = np.zeros((height, width), np.bool_)
    down, across = int(height * _MOUNT), int(width * _MOUNT)
    inner[down : height - down, across : width - across] = True
    kept = within = inner.reshape(-1)
    for _ in range(_ROUNDS):
        distances = np.hypot(*residuals(lightness, ab_n2, kept).T)
        kept = within & (distances <= np.quantile(distances[within], _TONE))
    hue = np.degrees(np.arctan2(ab_n2[:, 1], ab_n2[:, 0]))
    like_a_stain = (hue > _STAIN_HUES[0]) & (hue < _STAIN_HUES[1])
    beside = distances / np.where(like_a_stain, _STAIN_DISTANCE, _DISTANCE)
    return np.asarray(np.minimum(beside, strength)).reshape(height, width)
