"""Find the position of a photograph in a colour picture of it, using only lightness.

A coarse search over scales finds the shift by the peak of a correlation in the frequency domain; Gauss-Newton
steps from coarse to fine make it a sub-pixel affine map (Lucas and Kanade, IJCAI 1981, in the additive form
of Baker and Matthews, IJCV 2004, section 3.1). Both compare local detail and not lightness itself, for tools
that colour change contrast and tone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray
from PIL import Image

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

COARSE, MIDDLE, FINE = 128, 256, 512  # longest sides, pixels
_SCALES = np.exp(np.linspace(-0.24, 0.24, 13))
_OTHER_SHAPE = 0.02  # of the logarithm of the aspect ratio: less is rounding to whole pixels
_DETAIL, _AROUND = 1.0, 6.0  # sigma of the Gaussians between which detail lies, pixels
_LEAST_CONTRAST = 2.0  # L*: grain and JPEG blocks of even places stay below it
_FARTHEST = 0.25  # shift, share of the side
_STEPS = 12
_STILL = 0.005  # pixels
_EDGE = 9  # pixels of the photograph's frame, whose detail is that of what lies around it: at most 1/8
_OUTLIER = 1.0  # of the residual of normalised detail: what a tool has redrawn counts little


@dataclass(frozen=True)
class Placement:
    """How a photograph lies in a picture.

    Attributes:
        map_23: from (x, y, 1) of the photograph to (x, y) of the picture, both in shares of width and height
            from the upper left corner.
        alike: correlation of their local detail where they overlap, -1 to 1.
        covered: share of the photograph that the picture shows, 0 to 1.
        angle: by how much the picture is turned clockwise, degrees; `shear` likewise.
    """

    map_23: F64
    alike: float
    covered: float
    angle: float
    shear: float


def place(L_HW: F32, picture_hw: F32) -> Placement:
    """The placement of a photograph in a picture, both L* in [0, 100]; `alike` is low where it is another.

    It is found for shifts up to a quarter of the side, scales from 0.79 to 1.27 of one of the two filling the
    other's frame, or of both frames being the same, and angles up to some 5 degrees.
    """
    # both at one size, as far as their pixels go: detail is what it is by its scale
    longest = min(max(L_HW.shape), max(picture_hw.shape))
    sides = sorted({min(side, longest) for side in (COARSE, MIDDLE, FINE)})
    details = {side: (_detail(L_HW, side), _detail(picture_hw, side)) for side in sides}
    coarse = map_23 = _search(*details[sides[0]])
    for side in sides:
        map_23 = _refined(*details[side], map_23)
    source, other = details[min(MIDDLE, longest)]
    alike, before = likeness(source, other, map_23), likeness(source, other, coarse)
    if before > alike:  # the steps went astray, as they do where there is no such place
        map_23, alike = coarse, before
    x, y = _positions(source.shape, other.shape, map_23)
    inside = (x > -1) & (x < other.shape[1]) & (y > -1) & (y < other.shape[0])
    return Placement(map_23, alike, float(inside.mean()), *_turned(map_23, L_HW.shape, picture_hw.shape))


def coarse_likeness(L_HW: F32, picture_hw: F32) -> float:
    """`Placement.alike` as the coarse search alone finds it: cheap, and a little less."""
    side = min(COARSE, max(L_HW.shape), max(picture_hw.shape))
    source, other = _detail(L_HW, side), _detail(picture_hw, side)
    return likeness(source, other, _search(source, other))


def likeness(source: F32, other: F32, map_23: F64) -> float:
    """Correlation of the detail of both where they overlap; 0 where there is nothing to compare."""
    within = _within(source.shape)
    x, y = (plane[within] for plane in _positions(source.shape, other.shape, map_23))
    warped = scipy.ndimage.map_coordinates(other, [y, x], order=1, mode="constant", cval=np.nan)
    inside = np.isfinite(warped)
    ours, theirs = source[within][inside].astype(np.float64), warped[inside].astype(np.float64)
    energy = float(np.sqrt((ours @ ours) * (theirs @ theirs)))
    return float(ours @ theirs) / energy if energy > 0 else 0.0


def _detail(L_HW: F32, side: int) -> F32:
    """Detail of L*, reduced to `side`: its distance to what is around it, in units of the contrast there."""
    height, width = L_HW.shape
    scale = min(1.0, side / max(height, width))
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    reduced = np.asarray(Image.fromarray(L_HW).resize(size, Image.Resampling.BILINEAR), np.float32)
    detail = scipy.ndimage.gaussian_filter(reduced, _DETAIL) - scipy.ndimage.gaussian_filter(reduced, _AROUND)
    contrast = np.sqrt(scipy.ndimage.gaussian_filter(detail**2, _AROUND))
    return np.asarray(detail / (contrast + _LEAST_CONTRAST), np.float32)


def _within(shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The photograph without its edges: the picture may have a border there, or end."""
    edges = [min(_EDGE, length // 8) for length in shape]
    return slice(edges[0], shape[0] - edges[0]), slice(edges[1], shape[1] - edges[1])


def _positions(shape: tuple[int, ...], other: tuple[int, ...], map_23: F64) -> tuple[F64, F64]:
    """For each pixel of the photograph x and y in pixels of the picture."""
    u = (np.arange(shape[1]) + 0.5) / shape[1]
    v = ((np.arange(shape[0]) + 0.5) / shape[0])[:, None]
    (a, b, c), (d, e, f) = map_23
    x, y = (a * u + b * v + c) * other[1] - 0.5, (d * u + e * v + f) * other[0] - 0.5
    return x, y


def _starts(shape: tuple[int, ...], other: tuple[int, ...]) -> Iterator[F64]:
    """Maps to begin with: equal frames, and where the shapes differ the one inside of the other, centred."""
    wider = (other[1] / other[0]) / (shape[1] / shape[0])
    factors = [(1.0, 1.0)]
    if abs(np.log(wider)) > _OTHER_SHAPE:
        factors += [(1 / wider, 1.0), (1.0, wider)]
    for across, down in factors:
        for scale in _SCALES:
            x, y = across * scale, down * scale
            yield np.array([[x, 0, (1 - x) / 2], [0, y, (1 - y) / 2]])


def _search(source: F32, other: F32) -> F64:
    """The best of all starts, each with its best shift in whole pixels of `source`."""
    height, width = source.shape
    size = [scipy.fft.next_fast_len(length + length // 4, real=True) for length in source.shape]
    ours = scipy.fft.rfft2(source, size)
    far_y, far_x = max(1, int(height * _FARTHEST)), max(1, int(width * _FARTHEST))
    best, best_alike = np.eye(3)[:2], -2.0
    for start in _starts(source.shape, other.shape):
        x, y = _positions(source.shape, other.shape, start)
        warped = scipy.ndimage.map_coordinates(other, np.broadcast_arrays(y, x), order=1, mode="constant")
        peaks = scipy.fft.irfft2(np.conj(ours) * scipy.fft.rfft2(warped, size), size)
        near = np.roll(peaks, (far_y, far_x), (0, 1))[: 2 * far_y + 1, : 2 * far_x + 1]
        down, across = np.unravel_index(int(near.argmax()), near.shape)
        shifted = start.copy()
        shifted[:, 2] += start[:, :2] @ [(across - far_x) / width, (down - far_y) / height]
        if (alike := likeness(source, other, shifted)) > best_alike:
            best, best_alike = shifted, alike
    return best


def _refined(source: F32, other: F32, map_23: F64) -> F64:
    """Gauss-Newton steps on the six numbers of the map, until none moves a corner by `_STILL` pixels."""
    down, across = np.gradient(other)
    size_21 = np.array([[other.shape[1]], [other.shape[0]]], np.float64)
    u = np.broadcast_to((np.arange(source.shape[1]) + 0.5) / source.shape[1], source.shape)
    v = np.broadcast_to(((np.arange(source.shape[0]) + 0.5) / source.shape[0])[:, None], source.shape)
    within = _within(source.shape)
    u, v, ours = u[within], v[within], source[within]
    for _ in range(_STEPS):
        x, y = (plane[within] for plane in _positions(source.shape, other.shape, map_23))
        inside = (x >= 0) & (x <= other.shape[1] - 1) & (y >= 0) & (y <= other.shape[0] - 1)
        at = [y[inside], x[inside]]
        rest = ours[inside] - scipy.ndimage.map_coordinates(other, at, order=1)
        g_x, g_y = (scipy.ndimage.map_coordinates(plane, at, order=1) for plane in (across, down))
        uv1 = np.stack([u[inside], v[inside], np.ones(rest.size)])
        slopes = np.concatenate([uv1 * g_x, uv1 * g_y])
        weighted = slopes / (1 + (rest / _OUTLIER) ** 2)
        normal = weighted @ slopes.T
        normal += 1e-6 * (np.trace(normal) + 1e-9) * np.eye(6)
        step_23 = np.linalg.solve(normal, weighted @ rest).reshape(2, 3)
        map_23 = map_23 + step_23 / size_21
        if np.abs(step_23).sum(axis=1).max() < _STILL:
            break
    return map_23


def _turned(map_23: F64, shape: tuple[int, ...], other: tuple[int, ...]) -> tuple[float, float]:
    """Angle and shear of the picture, degrees, in its own pixels."""
    (a, b, _), (c, d, _) = map_23 * np.array([[other[1]], [other[0]]]) / np.array([shape[1], shape[0], 1])
    first, second = np.degrees(np.arctan2(c, a)), np.degrees(np.arctan2(-b, d))
    return float(first + second) / 2, float(first - second)
