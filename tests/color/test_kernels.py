"""The kernels' vector loops compared with their definitions, one pixel at a time."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.color import spaces
from pipeline.shard.compose import Composed, compose, measure

F32 = NDArray[np.float32]


def strip_of(depth: int, alpha: bool, width: int) -> tuple[NDArray[np.uint16], NDArray[np.uint8], Composed]:
    rng = np.random.default_rng(width + depth)
    l_u16 = rng.integers(0, 65536, (9, width), dtype=np.uint16)
    ab_2hw = rng.normal(0, 45, (2, 4, 7)).astype(np.float32)
    mask = rng.integers(0, 2, l_u16.shape, dtype=np.uint8)
    return l_u16, mask, compose(l_u16, ab_2hw, mask if alpha else None, depth=depth)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("width", [1, 15, 1023, 1024, 1025, 2300])
def test_the_sums_are_exact(depth: int, alpha: bool, width: int) -> None:
    """Runs of every length have a vector part and a rest, and 16 bits need sums of squares beyond 2**32."""
    l_u16, mask, composed = strip_of(depth, alpha, width)
    seen = composed.rgb.reshape(-1, 3)[mask.ravel() > 0 if alpha else slice(None)].astype(object)
    unit = 1 if depth == 8 else 257
    rg, yb = seen[:, 0] - seen[:, 1], seen[:, 0] + seen[:, 1] - 2 * seen[:, 2]
    count = max(len(seen), 1)
    means = sum(rg) / count / unit, sum(yb) / count / 2 / unit
    variances = (
        sum(rg * rg) / count / unit**2 - means[0] ** 2,
        sum(yb * yb) / count / 4 / unit**2 - means[1] ** 2,
    )
    wanted = np.sqrt(max(sum(variances), 0.0)) + 0.3 * np.hypot(*means)
    assert composed.colorfulness == wanted
    assert measure(composed.rgb, l_u16, mask if alpha else None).colorfulness == wanted


@pytest.mark.parametrize("depth", [8, 16])
def test_pixels_do_not_depend_on_their_place_in_a_run(depth: int) -> None:
    """What is out of gamut is moved together by run: each pixel comes back to its own place."""
    rng = np.random.default_rng(depth)
    l_u16 = rng.integers(0, 65536, (1, 2500), dtype=np.uint16)
    ab_2hw = np.array([70, -60], np.float32).reshape(2, 1, 1)
    whole = compose(l_u16, ab_2hw, depth=depth).rgb
    alone = np.concatenate(
        [compose(l_u16[:, [x]], ab_2hw, depth=depth).rgb for x in range(0, 2500, 7)], axis=1
    )
    np.testing.assert_array_equal(whole[:, ::7], alone)
    lab = np.stack([l_u16 / spaces.L_U16_SCALE, *np.broadcast_to(ab_2hw, (2, 1, 2500))], axis=-1)
    outside = ~spaces.in_gamut(lab)
    assert outside.any()
    assert not outside.all()
