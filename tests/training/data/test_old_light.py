"""Old light: what it changes and what it must never change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.training.data import old_light
from pipeline.training.data.crops import lab_crop, seen
from pipeline.training.data.old_light import FILMS, SHARES, in_old_light, old_film
from pipeline.training.sections import AugmentConfig

U8 = NDArray[np.uint8]


def photograph(seed: int, height: int = 40, width: int = 56) -> U8:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def flat(*rgb: int) -> U8:
    return np.full((16, 16, 3), rgb, dtype=np.uint8)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 70), st.integers(1, 70), st.sampled_from([0.0, 0.5, 1.0]))
def test_lightness_stays_lightness(seed: int, height: int, width: int, damage: float) -> None:
    L_HW = in_old_light(photograph(seed % 7, height, width), np.random.default_rng(seed), damage)
    assert L_HW.shape == (height, width)
    assert L_HW.dtype == np.float32
    assert np.isfinite(L_HW).all()
    assert 0 <= L_HW.min() <= L_HW.max() <= 100


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_the_same_seed_gives_the_same_print_and_no_photograph_is_changed(seed: int) -> None:
    photo = photograph(3)
    before = photo.copy()
    prints = [in_old_light(photo, np.random.default_rng(seed), 1.0) for _ in range(2)]
    assert np.array_equal(*prints)
    assert np.array_equal(photo, before)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1.0]))
def test_chroma_is_the_photographs_own(seed: int, share: float) -> None:
    photo = photograph(seed % 5)
    config = AugmentConfig(old_light=share, damage=1.0, spectral=1.0)
    _, ab_2HW = seen(photo, np.random.default_rng(seed), config)
    assert np.array_equal(ab_2HW, lab_crop(photo)[1])


def test_without_old_light_no_random_number_is_drawn_for_it() -> None:
    """So crops of earlier configurations stay what they were."""
    photo, config = photograph(1), AugmentConfig()
    one, other = np.random.default_rng(5), np.random.default_rng(5)
    seen(photo, one, config)
    seen(photo, other, config.model_copy(update={"damage": 0.9}))
    assert one.random() == other.random()


def test_films_are_mixtures() -> None:
    assert len(SHARES) == len(FILMS)
    assert sum(SHARES) == pytest.approx(1)
    rng = np.random.default_rng(0)
    films = np.array([old_film(rng) for _ in range(500)])
    assert films.sum(1) == pytest.approx(1, abs=1e-5)
    assert films.min() >= 0
    assert (films[:, 0] < 0.05).mean() == pytest.approx(SHARES[0] + SHARES[1], abs=0.07)


@pytest.mark.parametrize(("film", "lighter", "darker"), [
    ("ordinary", flat(90, 120, 220), flat(200, 60, 50)),
    ("ordinary", flat(90, 120, 220), flat(220, 220, 60)),
    ("orthochromatic", flat(60, 160, 60), flat(220, 40, 30)),
    ("panchromatic C", flat(220, 40, 30), flat(30, 40, 220)),
])  # fmt: skip
def test_a_film_sees_its_own_colours(
    monkeypatch: pytest.MonkeyPatch, film: str, lighter: U8, darker: U8
) -> None:
    """Skies are white and bricks dark on ordinary plates, lips dark on orthochromatic film."""
    monkeypatch.setattr(old_light, "FILMS", {film: FILMS[film]})
    monkeypatch.setattr(old_light, "SHARES", (1.0,))
    both = np.concatenate([lighter, darker])
    for seed in range(20):
        L_HW = in_old_light(both, np.random.default_rng(seed), 0.0)
        assert L_HW[:16].mean() > L_HW[16:].mean()


def test_a_print_keeps_the_order_of_light() -> None:
    ramp = np.linspace(0, 1, 300, dtype=np.float32).reshape(10, 30)
    for seed in range(20):
        assert (np.diff(old_light.printed(ramp, np.random.default_rng(seed)).ravel()) >= 0).all()


def test_damage_is_damage() -> None:
    changed = [
        float(np.std(old_light.damaged(np.full((96, 96), 50, np.float32), np.random.default_rng(seed))))
        for seed in range(30)
    ]
    assert sum(value > 0.5 for value in changed) > 20


def test_lightness_is_the_projects() -> None:
    gray = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    exposure = old_light._LINEAR[gray[..., 0]]
    assert old_light.lightness(exposure) == pytest.approx(lab_crop(gray)[0], abs=0.02)
