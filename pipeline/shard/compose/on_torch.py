"""The composition of `shard.compose.composer` on a torch device: the same pixels without CPU time.

Every operation is one that IEEE 754 rounds in one way, in the order of `color.kernels`, so the levels are
those of the compiled loops to the bit. The measurements are equal, too, except the mean chroma: its terms are
summed in another order, and torch's CPU device does not always round square roots to the nearest value.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.color import spaces
from pipeline.color.kernels import LINEAR_STEPS
from pipeline.shard.compose.composer import (
    DEFAULT_SETTINGS,
    TO_LEVELS,
    TO_LINEAR,
    Composed,
    Composer,
    ComposeSettings,
    Levels,
    composed_by,
)

U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]
F32 = NDArray[np.float32]


class Tables:
    """Data shared by all photographs, on `device`: constants, and the tables for both depths."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.to_rgb = spaces.XYZ_WHITE_1_TO_RGB.astype(np.float32).tolist()
        self.to_xyz = spaces.RGB_TO_XYZ_WHITE_1.astype(np.float32).tolist()
        self.delta, self.delta_3 = _f32(spaces.LAB_DELTA), _f32(spaces.LAB_DELTA**3)
        self.slope, self.offset = _f32(spaces.LAB_SLOPE), _f32(spaces.LAB_OFFSET)
        self.l_step, self.per_116 = _f32(1 / spaces.L_U16_SCALE), _f32(1 / 116)
        self.low, self.high = _f32(-spaces.GAMUT_TOLERANCE), _f32(1 + spaces.GAMUT_TOLERANCE)
        # in memory of the device: torch turns a division by a number into a product with its inverse
        self.slope_1 = torch.tensor([spaces.LAB_SLOPE], dtype=torch.float32, device=device)
        self.to_levels = {depth: torch.from_numpy(table).to(device) for depth, table in TO_LEVELS.items()}
        self.to_linear = {depth: torch.from_numpy(table).to(device) for depth, table in TO_LINEAR.items()}


class TorchComposer(Composer):
    """A `Composer` whose pixels are worked on where `tables` are; made by `TorchCompose`."""

    block = 2**21  # pixels: some 200 MB of the device's memory

    def __init__(
        self, tables: Tables, ab_2hw: F32, height: int, width: int, settings: ComposeSettings, *, depth: int
    ) -> None:
        super().__init__(ab_2hw, height, width, settings, depth=depth)
        self._t = tables

    @cached_property
    def _wide(self) -> Tensor:
        """Every row of the chroma at all columns of the photograph, 2 x h x W."""
        ab, columns = (torch.from_numpy(array).to(self._t.device) for array in (self.ab_2hw, self.columns))
        left, right = ab[..., columns[0].int()], ab[..., columns[1].int()]
        return left + columns[2] * (right - left)

    def fill(self, l_u16: U16, alpha: U8, rows: F32, rgb: Levels) -> None:
        """As `Composer.fill`."""
        lightness = self._moved(l_u16).float() * self._t.l_step
        visible = self._moved(alpha) > 0 if alpha.shape[0] else None
        fy, a, b = self._lab(lightness, visible, torch.from_numpy(rows).to(self._t.device))
        linear, chroma = self._in_gamut(fy, a, b)
        levels = self._levels(linear)
        self._count(levels, lightness, fy, chroma, visible)
        signed = levels.to(torch.uint8 if self.depth == 8 else torch.int16)
        rgb[...] = signed.cpu().numpy().view(rgb.dtype)

    def _moved(self, array: U8 | U16) -> Tensor:
        """Whole numbers as int32; torch has no arithmetic for uint16."""
        if array.dtype == np.uint8:
            return torch.from_numpy(array).to(self._t.device).int()
        return torch.from_numpy(array.view(np.int16)).to(self._t.device).int() & 0xFFFF

    def _lab(self, lightness: Tensor, visible: Tensor | None, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """f(Y), a/500 and b/200, with the fade to neutral and without the chroma of what is not visible."""
        scale_a, scale_b, per_dark, per_light = self.tuning.tolist()
        fade = torch.minimum(lightness * per_dark, (100 - lightness) * per_light).clamp(0, 1)
        fade = fade * (fade * (3 - (fade + fade)))
        above, below = self._wide[:, rows[0].int()], self._wide[:, rows[1].int()]
        a, b = above + rows[2][:, None] * (below - above)
        a, b = a * (fade * scale_a), b * (fade * scale_b)
        if visible is not None:
            a, b = a.where(visible, 0), b.where(visible, 0)
        return (lightness + 16) * self._t.per_116, a, b

    def _f_inverse(self, f: Tensor) -> Tensor:
        return torch.where(f > self._t.delta, f * f * f, self._t.slope * (f - self._t.offset))

    def _linear(self, fy: Tensor, a: Tensor, b: Tensor) -> Tensor:
        y = self._f_inverse(fy)
        x, z = self._f_inverse(fy + a) - y, self._f_inverse(fy - b) - y
        return torch.stack([y + (row[0] * x + row[2] * z) for row in self._t.to_rgb])

    def _outside(self, linear: Tensor) -> Tensor:
        return ((linear < self._t.low) | (linear > self._t.high)).any(0)

    def _in_gamut(self, fy: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Linear RGB 3 x H x W and chroma, reduced by halving where sRGB cannot hold it."""
        linear = self._linear(fy, a, b)
        unit_a, unit_b = a * 500, b * 200
        chroma = (unit_a * unit_a + unit_b * unit_b).sqrt()
        outside = self._outside(linear)
        fy, a, b = fy[outside], a[outside], b[outside]
        kept, step = torch.zeros_like(fy), 1.0
        for _ in range(spaces.GAMUT_BISECTIONS if len(fy) else 0):
            step *= 0.5
            trial = kept + step
            kept = torch.where(self._outside(self._linear(fy, a * trial, b * trial)), kept, trial)
        linear[:, outside] = self._linear(fy, a * kept, b * kept)
        chroma[outside] *= kept
        return linear, chroma

    def _levels(self, linear: Tensor) -> Tensor:
        """The nearest levels, int32[H,W,3]."""
        table = self._t.to_levels[self.depth]
        position = linear.clamp(0, 1).permute(1, 2, 0) * LINEAR_STEPS
        if self.depth == 8:
            return table[(position + 0.5).int()].int()
        left = position.int()
        below, above = table[left], table[left + 1]
        return (below + (position - left.float()) * (above - below) + 0.5).int()

    def _count(
        self, levels: Tensor, lightness: Tensor, fy: Tensor, chroma: Tensor, visible: Tensor | None
    ) -> None:
        """What `kernels._errors_run` and `_sum_run` add to the tally."""
        red, green, blue = self._t.to_linear[self.depth][levels].unbind(-1)
        row = self._t.to_xyz[1]
        y = green + (row[0] * (red - green) + row[2] * (blue - green))
        cube = fy * fy * fy
        root = fy * ((cube + (y + y)) / ((cube + cube) + y))
        root = torch.where(y > self._t.delta_3, root, y / self._t.slope_1 + self._t.offset)
        difference = ((116 * root - 16) - lightness).abs().max()
        if visible is not None:
            levels, chroma = levels[visible], chroma[visible]
        r, g, b = levels.reshape(-1, 3).long().unbind(-1)
        rg, yb = r - g, r + g - b - b
        sums = torch.stack([rg.sum(), yb.sum(), (rg * rg).sum(), (yb * yb).sum()]).tolist()
        self.tally.strip += [len(r), *sums]
        self.tally.lanes[0, 0] = max(self.tally.lanes[0, 0], float(difference))
        self.tally.lanes[1, 0] += float(chroma.double().sum())


class TorchCompose:
    """`compose` on a torch device; keeps its tables there."""

    def __init__(self, device: str) -> None:
        self._tables = Tables(torch.device(device))

    def __call__(
        self,
        l_u16: U16,
        ab_2hw: F32,
        alpha: U8 | U16 | None = None,
        settings: ComposeSettings = DEFAULT_SETTINGS,
        *,
        depth: int = 8,
    ) -> Composed:
        """As `pipeline.shard.compose`: the same pixels, arguments and errors."""
        if l_u16.ndim != 2:
            raise ValueError(f"lightness must be uint16[H,W]; got {l_u16.dtype} {l_u16.shape}")
        height, width = l_u16.shape
        with torch.inference_mode():
            composer = TorchComposer(self._tables, ab_2hw, height, width, settings, depth=depth)
            return composed_by(composer, l_u16, alpha)


def _f32(value: float) -> float:
    """The single-precision number next to this one."""
    return float(np.float32(value))
