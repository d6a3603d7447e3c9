"""The inner loops of `stages.compose` and of its measurements, compiled, for pixels of 8 and of 16 bits.

Every loop is written so that vectors can run it and so that no reordering of sums is asked of the compiler:
all CPUs give the same bits. Single precision throughout; literals are float32 constants, because
one float64 literal would widen a loop.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline import color
from pipeline.compiled import compiled

RUN = 1024  # pixels of one row at a time: the buffers of a run stay in a 64 KiB cache
LINEAR_STEPS = 65535  # of the tables from linear light to levels: 20 steps to the darkest level of 8 bits

_ONE = np.float32(1)
_ZERO = np.float32(0)
_HALF = np.float32(0.5)
_THREE = np.float32(3)
_SIXTEEN = np.float32(16)
_HUNDRED = np.float32(100)
_L116 = np.float32(116)
_PER_116 = np.float32(1 / 116)
_A500 = np.float32(500)
_B200 = np.float32(200)
_DELTA = np.float32(color.LAB_DELTA)
_DELTA_3 = np.float32(color.LAB_DELTA**3)
_SLOPE = np.float32(color.LAB_SLOPE)
_OFFSET = np.float32(color.LAB_OFFSET)
_L_STEP = np.float32(1 / color.L_U16_SCALE)
_STEPS = np.float32(LINEAR_STEPS)
_LOW = np.float32(-color.GAMUT_TOLERANCE)
_HIGH = np.float32(1 + color.GAMUT_TOLERANCE)
_THIRD = np.float32(1 / 3)
_CBRT_BIAS = np.int32(0x2A5137A0)
_BISECTIONS = color.GAMUT_BISECTIONS

# Rows of both matrices sum to 1, so each is written over differences to the middle channel: equal
# inputs then give equal outputs to the bit, and gray stays gray.
_TO_RGB = color.XYZ_WHITE_1_TO_RGB.astype(np.float32)
_TO_XYZ = color.RGB_TO_XYZ_WHITE_1.astype(np.float32)
_RX, _RZ = _TO_RGB[0, 0], _TO_RGB[0, 2]
_GX, _GZ = _TO_RGB[1, 0], _TO_RGB[1, 2]
_BX, _BZ = _TO_RGB[2, 0], _TO_RGB[2, 2]
_XR, _XB = _TO_XYZ[0, 0], _TO_XYZ[0, 2]
_YR, _YB = _TO_XYZ[1, 0], _TO_XYZ[1, 2]
_ZR, _ZB = _TO_XYZ[2, 0], _TO_XYZ[2, 2]


@compiled
def _f_inverse(f: Any) -> Any:
    return f * f * f if f > _DELTA else _SLOPE * (f - _OFFSET)


@compiled
def _linear_rgb(fy: Any, da: Any, db: Any) -> Any:
    """Lab as f(Y), a/500 and b/200, to linear RGB."""
    y = _f_inverse(fy)
    x = _f_inverse(fy + da) - y
    z = _f_inverse(fy - db) - y
    return y + (_RX * x + _RZ * z), y + (_GX * x + _GZ * z), y + (_BX * x + _BZ * z)


@compiled
def _outside(r: Any, g: Any, b: Any) -> Any:
    return (r < _LOW) | (g < _LOW) | (b < _LOW) | (r > _HIGH) | (g > _HIGH) | (b > _HIGH)


@compiled
def _f(t: Any) -> Any:
    """The Lab curve of t >= 0 with a cube root that vectorises, which a call to cbrt does not.

    A third of the exponent, taken from the bits, is within 4 percent; each of Halley's steps cubes
    the error, so that two leave float32 rounding.
    """
    bits = np.float32(t).view(np.int32)
    f = np.int32(np.int32(np.float32(bits) * _THIRD) + _CBRT_BIAS).view(np.float32)
    for _ in range(2):
        cube = f * f * f
        f = f * ((cube + (t + t)) / ((cube + cube) + t))
    return f if t > _DELTA_3 else t / _SLOPE + _OFFSET


@compiled
def _chroma_run(l_u16: Any, seen: Any, low_2w: Any, columns: Any, tuning: Any, out: Any) -> Any:
    """out[0:3]: f(Y), a/500 and b/200 after the neutral fade; out[3:6]: linear RGB. Any out of gamut?"""
    scale_a, scale_b, per_dark, per_light = tuning[0], tuning[1], tuning[2], tuning[3]
    any_outside = False
    for i in range(l_u16.size):
        lightness = np.float32(l_u16[i]) * _L_STEP
        up, down = lightness * per_dark, (_HUNDRED - lightness) * per_light
        fade = up if up < down else down
        fade = fade if fade < _ONE else _ONE
        fade = fade if fade > _ZERO else _ZERO
        fade *= fade * (_THREE - (fade + fade))
        left, right, weight = np.uint32(columns[0, i]), np.uint32(columns[1, i]), columns[2, i]
        a = low_2w[0, left] + weight * (low_2w[0, right] - low_2w[0, left])
        b = low_2w[1, left] + weight * (low_2w[1, right] - low_2w[1, left])
        out[0, i] = (lightness + _SIXTEEN) * _PER_116
        out[1, i] = a * (fade * scale_a)
        out[2, i] = b * (fade * scale_b)
    for i in range(seen.size):
        if seen[i] == 0:
            out[1, i] = _ZERO
            out[2, i] = _ZERO
    for i in range(l_u16.size):
        r, g, b = _linear_rgb(out[0, i], out[1, i], out[2, i])
        out[3, i], out[4, i], out[5, i] = r, g, b
        any_outside |= _outside(r, g, b)
    return any_outside


@compiled
def _reduce_run(size: Any, out: Any, places: Any, kept: Any) -> Any:
    """Bisect the chroma of what is out of gamut; f(Y), and with it L*, stays.

    Those pixels are moved together first, over out[0:3], so that each halving is one vector loop.
    `kept` is the share of the chroma; it is 0 or was seen to be in gamut.
    """
    count = 0
    for i in range(size):
        if _outside(out[3, i], out[4, i], out[5, i]):
            out[0, count], out[1, count], out[2, count] = out[0, i], out[1, i], out[2, i]
            places[count] = i
            kept[count] = _ZERO
            count += 1
    step = _ONE
    for _ in range(_BISECTIONS):
        step *= _HALF
        for i in range(count):
            trial = kept[i] + step
            r, g, b = _linear_rgb(out[0, i], out[1, i] * trial, out[2, i] * trial)
            kept[i] = kept[i] if _outside(r, g, b) else trial
    for i in range(count):
        r, g, b = _linear_rgb(out[0, i], out[1, i] * kept[i], out[2, i] * kept[i])
        out[3, places[i]], out[4, places[i]], out[5, places[i]] = r, g, b


@compiled
def _quantise_run(out: Any, to_levels: Any, pixels: Any) -> Any:
    """8 bits: the nearest entry of the table. 16 bits: between two entries, for there the levels are finer
    than the table; straight lines are off by 0.005 of a level at most."""
    for i in range(pixels.shape[0]):
        for channel in range(3):
            linear = out[3 + channel, i]
            linear = linear if linear > _ZERO else _ZERO
            linear = linear if linear < _ONE else _ONE
            if pixels.itemsize == 1:
                pixels[i, channel] = to_levels[np.uint32(np.int32(linear * _STEPS + _HALF))]
            else:
                position = linear * _STEPS
                left = np.uint32(np.int32(position))
                below, above = np.float32(to_levels[left]), np.float32(to_levels[left + np.uint32(1)])
                level = below + (position - np.float32(left)) * (above - below)
                pixels[i, channel] = np.uint32(np.int32(level + _HALF))


@compiled
def _measure_run(pixels: Any, l_u16: Any, seen: Any, linear: Any, out: Any, lanes: Any, sums: Any) -> Any:
    """Measure 8- or 16-bit pixels against their source's lightness.

    lanes[0], lanes[1]: largest |dL*| and sum of chroma by place in the run: additions in a fixed order that
    vectors can do. sums: pixels seen, then sums of R-G, R+G-2B and of their squares, exact in integers.
    """
    size, masked = l_u16.size, seen.size > 0
    for i in range(size):
        for channel in range(3):
            out[channel, i] = linear[pixels[i, channel]]
    for i in range(size):
        g = out[1, i]
        rg, bg = out[0, i] - g, out[2, i] - g
        fy = _f(g + (_YR * rg + _YB * bg))
        difference = abs((_L116 * fy - _SIXTEEN) - np.float32(l_u16[i]) * _L_STEP)
        lanes[0, i] = difference if difference > lanes[0, i] else lanes[0, i]
        a = _A500 * (_f(g + (_XR * rg + _XB * bg)) - fy)
        b = _B200 * (fy - _f(g + (_ZR * rg + _ZB * bg)))
        out[3, i] = np.sqrt(a * a + b * b)
    for i in range(size):
        lanes[1, i] += out[3, i] if not masked or seen[i] > 0 else _ZERO
    count = rg_sum = yb_sum = rg_squares = yb_squares = np.int64(0)
    for i in range(size):
        weight = np.int64(1 if not masked or seen[i] > 0 else 0)
        red, green, blue = np.int64(pixels[i, 0]), np.int64(pixels[i, 1]), np.int64(pixels[i, 2])
        rg_int, yb_int = (red - green) * weight, (red + green - blue - blue) * weight
        count += weight
        rg_sum += rg_int
        yb_sum += yb_int
        rg_squares += rg_int * rg_int
        yb_squares += yb_int * yb_int
    sums[0] += count
    sums[1] += rg_sum
    sums[2] += yb_sum
    sums[3] += rg_squares
    sums[4] += yb_squares


@compiled
def compose_pixels(
    l_u16: Any, alpha: Any, ab_2hw: Any, rows: Any, columns: Any, tuning: Any,
    to_levels: Any, linear: Any, pixels: Any, lanes: Any, sums: Any,
) -> Any:  # fmt: skip
    """Fill `pixels` and measure them. rows, columns: float32[3,n], for each row and column of the photograph
    its two neighbours in ab_2hw and the weight of the second. tuning: factors to a/500, b/200 and the fades.
    l_u16 may be a strip of the photograph: rows are those of the strip. lanes and sums go on over strips.
    An alpha without rows stands for none.
    """
    low_2w = np.empty((2, ab_2hw.shape[2]), np.float32)
    out, kept = np.empty((6, RUN), np.float32), np.empty(RUN, np.float32)
    places = np.empty(RUN, np.uint32)
    for y in range(l_u16.shape[0]):
        top, bottom, weight = np.int64(rows[0, y]), np.int64(rows[1, y]), rows[2, y]
        for channel in range(2):
            for x in range(low_2w.shape[1]):
                above = ab_2hw[channel, top, x]
                low_2w[channel, x] = above + weight * (ab_2hw[channel, bottom, x] - above)
        for start in range(0, l_u16.shape[1], RUN):
            end = min(start + RUN, l_u16.shape[1])
            lightness, run = l_u16[y, start:end], pixels[y, start:end]
            seen = alpha[y, start:end] if alpha.shape[0] > 0 else alpha[:0].reshape(0)
            if _chroma_run(lightness, seen, low_2w, columns[:, start:end], tuning, out):
                _reduce_run(end - start, out, places, kept)
            _quantise_run(out, to_levels, run)
            _measure_run(run, lightness, seen, linear, out, lanes, sums)


@compiled
def measure_pixels(pixels: Any, l_u16: Any, alpha: Any, linear: Any, lanes: Any, sums: Any) -> Any:
    """What `compose_pixels` measures, for pixels that are there already."""
    out = np.empty((6, RUN), np.float32)
    for y in range(l_u16.shape[0]):
        for start in range(0, l_u16.shape[1], RUN):
            end = min(start + RUN, l_u16.shape[1])
            seen = alpha[y, start:end] if alpha.shape[0] > 0 else alpha[:0].reshape(0)
            _measure_run(pixels[y, start:end], l_u16[y, start:end], seen, linear, out, lanes, sums)
