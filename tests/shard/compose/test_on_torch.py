"""The composition on a torch device equals that of the compiled loops, for every pixel."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.shard.compose import Composed, ComposeSettings, compose
from pipeline.shard.compose.on_torch import TorchCompose, TorchComposer
from tests.shard.compose.test_composer import random_input

ON_CPU = TorchCompose("cpu")


def assert_same(found: Composed, wanted: Composed) -> None:
    assert found.rgb.dtype == wanted.rgb.dtype
    np.testing.assert_array_equal(found.rgb, wanted.rgb)
    assert found.max_delta_l == wanted.max_delta_l
    assert found.mean_chroma == pytest.approx(wanted.mean_chroma, rel=1e-6)  # other roots, another order
    assert found.colorfulness == wanted.colorfulness


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """So few pixels are quicker on one thread, and far quicker where others use the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@given(
    st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40), st.integers(1, 50), st.integers(1, 50),
    st.floats(0, 1e6), st.floats(0, 10), st.sampled_from([8, 16]), st.booleans(),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_the_pixels_and_measures_are_those_of_the_compiled_loops(
    seed: int, h: int, w: int, lh: int, lw: int, scale: float, factor: float, depth: int, masked: bool
) -> None:
    l_u16, ab_2hw = random_input(seed, (h, w), (lh, lw), scale)
    alpha = np.random.default_rng(seed).integers(0, 2, (h, w), dtype=np.uint8) if masked else None
    chroma = ComposeSettings(chroma=factor)
    wanted = compose(l_u16, ab_2hw, alpha, chroma, depth=depth)
    assert_same(ON_CPU(l_u16, ab_2hw, alpha, chroma, depth=depth), wanted)


@pytest.mark.parametrize("depth", [8, 16])
def test_every_lightness_in_every_hue(depth: int) -> None:
    l_u16 = np.arange(65536, dtype=np.uint16).reshape(1024, 64)
    for hue in np.arange(0, 2 * np.pi, np.pi / 2) + 0.6:
        for strength in (5, 60, 300):
            ab_2hw = np.array([np.cos(hue), np.sin(hue)], np.float32).reshape(2, 1, 1) * np.float32(strength)
            assert_same(ON_CPU(l_u16, ab_2hw, depth=depth), compose(l_u16, ab_2hw, depth=depth))


def test_a_photograph_of_several_blocks_has_no_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TorchComposer, "block", 1000)
    l_u16, ab_2hw = random_input(5, (97, 143), (12, 18), 40)
    assert_same(ON_CPU(l_u16, ab_2hw), compose(l_u16, ab_2hw))


@pytest.mark.parametrize(
    ("l_u16", "ab_2hw", "said"),
    [
        (np.zeros((4, 4), np.float32), np.zeros((2, 2, 2), np.float32), "lightness"),
        (np.zeros((1, 4, 4), np.uint16), np.zeros((2, 2, 2), np.float32), "lightness"),
        (np.zeros((4, 4), np.uint16), np.full((2, 2, 2), np.nan, np.float32), "not finite"),
    ],
)
def test_what_compose_refuses_is_refused(l_u16: np.ndarray, ab_2hw: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ON_CPU(l_u16, ab_2hw)
