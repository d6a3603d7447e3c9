"""The inner loops of `shard.compose` and its measurements, compiled, for pixels of 8 and of 16 bits.

Every loop is written so that vectors can run it and so that no reordering of sums is asked of the compiler:
all CPUs give the same bits. Single precision throughout; literals are float32 constants, because
one float64 literal would widen a loop.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.color import spaces
from pipeline.color.compiled import compiled

RUN = 1024  # pixels of one row at a time: the buffers of a run stay in a 64 KiB cache
LINEAR_STEPS = 65535  # of the tables from linear light to levels: 20 steps to the darkest level of 8 bits

_ZERO, _HALF, _ONE, _THREE = (np.float32(value) for value in (0, 0.5, 1, 3))
_SIXTEEN, _HUNDRED, _L116, _A500, _B200 = (np.float32(value) for value in (16, 100, 116, 500, 200))
_PER_116 = np.float32(1 / 116)
_DELTA = np.float32(spaces.LAB_DELTA)
_DELTA_3 = np.float32(spaces.LAB_DELTA**3)
_SLOPE = np.float32(spaces.LAB_SLOPE)
_OFFSET = np.float32(spaces.LAB_OFFSET)
_L_STEP = np.float32(1 / spaces.L_U16_SCALE)
_STEPS = np.float32(LINEAR_STEPS)
_LOW = np.float32(-spaces.GAMUT_TOLERANCE)
_HIGH = np.float32(1 + spaces.GAMUT_TOLERANCE)
_THIRD = np.float32(1 / 3)
_CBRT_BIAS = np.int32(0x2A5137A0)
_BISECTIONS = spaces.GAMUT_BISECTIONS

# Rows of both matrices sum to 1, so each is written over differences to the middle channel: equal
# inputs then give equal outputs to the bit, and gray stays gray.
_TO_RGB = spaces.XYZ_WHITE_1_TO_RGB.astype(np.float32)
_TO_XYZ = spaces.RGB_TO_XYZ_WHITE_1.astype(np.float32)
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
    return _linear_rgb_of(fy, _f_inverse(fy), da, db)


@compiled
def _linear_rgb_of(fy: Any, y: Any, da: Any, db: Any) -> Any:
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
def _widen(low_w: Any, columns: Any, wide: Any) -> Any:
    """A row of low-resolution chroma at every column of the photograph."""
    for x in range(wide.size):
        # by way of int32: a vector unit before AVX-512 converts floats to nothing unsigned
        left, right = np.uint32(np.int32(columns[0, x])), np.uint32(np.int32(columns[1, x]))
        wide[x] = low_w[left] + columns[2, x] * (low_w[right] - low_w[left])


@compiled
def _chroma_run(
    l_u16: Any, visible: Any, above_a: Any, above_b: Any, below_a: Any, below_b: Any,
    weight: Any, tuning: Any, out: Any, outside: Any,
) -> Any:  # fmt: skip
    """out[0:3]: f(Y), a/500 and b/200 after the neutral fade; out[3:6]: linear RGB; out[6]: chroma. Any out
    of gamut? `outside` says which. Chroma lies between two rows, `weight` of the second."""
    scale_a, scale_b, per_dark, per_light = tuning[0], tuning[1], tuning[2], tuning[3]
    for i in range(l_u16.size):
        lightness = np.float32(l_u16[i]) * _L_STEP
        up, down = lightness * per_dark, (_HUNDRED - lightness) * per_light
        fade = up if up < down else down
        fade = fade if fade < _ONE else _ONE
        fade = fade if fade > _ZERO else _ZERO
        fade *= fade * (_THREE - (fade + fade))
        a = above_a[i] + weight * (below_a[i] - above_a[i])
        b = above_b[i] + weight * (below_b[i] - above_b[i])
        out[0, i] = (lightness + _SIXTEEN) * _PER_116
        out[1, i] = a * (fade * scale_a)
        out[2, i] = b * (fade * scale_b)
    for i in range(visible.size):
        if visible[i] == 0:
            out[1, i] = out[2, i] = _ZERO
    for i in range(l_u16.size):
        a, b = _A500 * out[1, i], _B200 * out[2, i]
        out[6, i] = np.sqrt(a * a + b * b)
    any_outside = np.int32(0)
    for i in range(l_u16.size):
        r, g, b = _linear_rgb(out[0, i], out[1, i], out[2, i])
        out[3, i], out[4, i], out[5, i] = r, g, b
        beyond = np.int32(_outside(r, g, b))
        outside[i] = beyond
        any_outside |= beyond
    return any_outside != 0


@compiled
def _reduce_run(size: Any, out: Any, outside: Any, places: Any, kept: Any, few: Any) -> Any:
    """Bisect the chroma of what is out of gamut; f(Y), and with it L*, stays.

    Those pixels are moved together first, so that each halving is one vector loop. `kept` is the share of
    the chroma; it is 0 or is known to lie in gamut. few[0:4]: their f(Y), a/500, b/200 and Y.
    """
    count = 0
    for i in range(size):  # without a branch, which would be guessed wrongly at every edge
        places[count] = i
        count += outside[i]
    for i in range(count):
        fy = out[0, places[i]]
        few[0, i], few[1, i], few[2, i], few[3, i] = fy, out[1, places[i]], out[2, places[i]], _f_inverse(fy)
        kept[i] = _ZERO
    step = _ONE
    for _ in range(_BISECTIONS):
        step *= _HALF
        for i in range(count):
            trial = kept[i] + step
            r, g, b = _linear_rgb_of(few[0, i], few[3, i], few[1, i] * trial, few[2, i] * trial)
            kept[i] = kept[i] if _outside(r, g, b) else trial
    for i in range(count):
        r, g, b = _linear_rgb_of(few[0, i], few[3, i], few[1, i] * kept[i], few[2, i] * kept[i])
        out[3, places[i]], out[4, places[i]], out[5, places[i]] = r, g, b
        out[6, places[i]] *= kept[i]


@compiled
def _quantise_run(out: Any, to_levels: Any, pixels: Any, levels: Any) -> Any:
    """8 bits: the nearest entry of the table. 16 bits: between two entries, for there the levels are finer
    than the table; straight lines are off by 0.005 of a level at most. `levels`: the same by channel.
    out[0:3] is overwritten."""
    size = pixels.shape[0]
    for channel in range(3):
        for i in range(size):
            linear = out[3 + channel, i]
            linear = linear if linear > _ZERO else _ZERO
            linear = linear if linear < _ONE else _ONE
            if pixels.itemsize == 1:
                levels[channel, i] = np.int32(linear * _STEPS + _HALF)
            else:
                left = np.int32(linear * _STEPS)
                levels[channel, i], out[channel, i] = left, linear * _STEPS - np.float32(left)
        if pixels.itemsize == 1:
            for i in range(size):
                levels[channel, i] = to_levels[np.uint32(levels[channel, i])]
    for i in range(size):
        for channel in range(3):
            level = levels[channel, i]
            if pixels.itemsize > 1:
                below, above = to_levels[np.uint32(level)], to_levels[np.uint32(level) + np.uint32(1)]
                level = np.int32(below + out[channel, i] * (above - below) + _HALF)
                levels[channel, i] = level
            pixels[i, channel] = level


@compiled
def _errors_run(pixels: Any, l_u16: Any, linear: Any, out: Any, lanes: Any) -> Any:
    """lanes[0]: largest |dL*| by place in the run, of levels that are close to their source's lightness.

    The cube root begins with the source's own f(Y): one of Halley's steps then cubes an error that is small
    already; off by 1 L*, it ends within 0.001.
    """
    for i in range(l_u16.size):  # on its own: vectors that look up tables are slower
        r, g, b = linear[pixels[i, 0]], linear[pixels[i, 1]], linear[pixels[i, 2]]
        out[0, i] = g + (_YR * (r - g) + _YB * (b - g))
    for i in range(l_u16.size):
        y, lightness = out[0, i], np.float32(l_u16[i]) * _L_STEP
        fy = (lightness + _SIXTEEN) * _PER_116
        cube = fy * fy * fy
        root = fy * ((cube + (y + y)) / ((cube + cube) + y))
        root = root if y > _DELTA_3 else y / _SLOPE + _OFFSET
        difference = abs((_L116 * root - _SIXTEEN) - lightness)
        lanes[0, i] = difference if difference > lanes[0, i] else lanes[0, i]


@compiled
def _lab_run(levels: Any, l_u16: Any, linear: Any, out: Any, lanes: Any) -> Any:
    """As `_errors_run`, of any levels; out[6]: their chroma."""
    for i in range(l_u16.size):
        for channel in range(3):
            out[channel, i] = linear[np.uint32(levels[channel, i])]
    for i in range(l_u16.size):
        g = out[1, i]
        rg, bg = out[0, i] - g, out[2, i] - g
        fy = _f(g + (_YR * rg + _YB * bg))
        difference = abs((_L116 * fy - _SIXTEEN) - np.float32(l_u16[i]) * _L_STEP)
        lanes[0, i] = difference if difference > lanes[0, i] else lanes[0, i]
        a = _A500 * (_f(g + (_XR * rg + _XB * bg)) - fy)
        b = _B200 * (fy - _f(g + (_ZR * rg + _ZB * bg)))
        out[6, i] = np.sqrt(a * a + b * b)


@compiled
def _sum_run(levels: Any, visible: Any, weights: Any, out: Any, lanes: Any, sums: Any, size: Any) -> Any:
    """lanes[1]: sum of chroma, out[6], by place in the run: additions in a fixed order that vectors can do.
    sums: count of visible pixels, then sums of R-G, R+G-2B and of their squares, exact in integers.
    weights: of ones, which stay where no pixel can be invisible."""
    for i in range(visible.size):
        weights[i] = np.int32(1 if visible[i] > 0 else 0)
    for i in range(size):
        lanes[1, i] += out[6, i] if weights[i] > 0 else _ZERO
    count = rg_sum = yb_sum = np.int32(0)
    rg_squares = yb_squares = np.int64(0)
    for i in range(size):
        red, green, blue = levels[0, i], levels[1, i], levels[2, i]
        rg, yb = np.int32((red - green) * weights[i]), np.int32((red + green - blue - blue) * weights[i])
        count = np.int32(count + weights[i])
        rg_sum, yb_sum = np.int32(rg_sum + rg), np.int32(yb_sum + yb)
        rg_squares += np.int64(rg) * np.int64(rg)
        yb_squares += np.int64(yb) * np.int64(yb)
    for i, more in enumerate((np.int64(count), np.int64(rg_sum), np.int64(yb_sum), rg_squares, yb_squares)):
        sums[i] += more


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
    # the two rows of chroma around a row of the photograph, by odd and even, widened when they change
    wide = np.empty((2, 2, l_u16.shape[1]), np.float32)
    rows_in = np.full(2, -1, np.int64)
    out, few, kept = np.empty((7, RUN), np.float32), np.empty((4, RUN), np.float32), np.empty(RUN, np.float32)
    places, outside = np.empty(RUN, np.uint32), np.empty(RUN, np.int32)
    levels, weights = np.empty((3, RUN), np.int32), np.ones(RUN, np.int32)
    for y in range(l_u16.shape[0]):
        for number in range(2):
            row = np.int64(rows[number, y])
            if rows_in[row % 2] != row:
                for channel in range(2):
                    _widen(ab_2hw[channel, row], columns, wide[row % 2, channel])
                rows_in[row % 2] = row
        above, below = wide[np.int64(rows[0, y]) % 2], wide[np.int64(rows[1, y]) % 2]
        for start in range(0, l_u16.shape[1], RUN):
            end = min(start + RUN, l_u16.shape[1])
            lightness, run = l_u16[y, start:end], pixels[y, start:end]
            visible = alpha[y, start:end] if alpha.shape[0] > 0 else alpha[:0].reshape(0)
            if _chroma_run(
                lightness, visible, above[0, start:end], above[1, start:end],
                below[0, start:end], below[1, start:end], rows[2, y], tuning, out, outside,
            ):  # fmt: skip
                _reduce_run(end - start, out, outside, places, kept, few)
            _quantise_run(out, to_levels, run, levels)
            _errors_run(run, lightness, linear, out, lanes)
            _sum_run(levels, visible, weights, out, lanes, sums, end - start)


@compiled
def measure_pixels(pixels: Any, l_u16: Any, alpha: Any, linear: Any, lanes: Any, sums: Any) -> Any:
    """What `compose_pixels` measures, for pixels that are there already."""
    out, levels = np.empty((7, RUN), np.float32), np.empty((3, RUN), np.int32)
    weights = np.ones(RUN, np.int32)
    for y in range(l_u16.shape[0]):
        for start in range(0, l_u16.shape[1], RUN):
            end = min(start + RUN, l_u16.shape[1])
            visible = alpha[y, start:end] if alpha.shape[0] > 0 else alpha[:0].reshape(0)
            for i in range(end - start):
                for channel in range(3):
                    levels[channel, i] = pixels[y, start + i, channel]
            _lab_run(levels, l_u16[y, start:end], linear, out, lanes)
            _sum_run(levels, visible, weights, out, lanes, sums, end - start)
