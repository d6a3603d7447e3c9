"""Colour from a similar picture: what the papers promise where it can be checked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage.color import deltaE_ciede2000

from pipeline.color.spaces import srgb_to_lab
from pipeline.errors import ConfigError
from pipeline.models.base import Colorizer
from pipeline.models.method_list import load_colorizer, weights_digest
from pipeline.models.methods.reference import ReferenceColorizer, WelshColorizer
from pipeline.models.methods.reference.matching import match, vote, weighted_medians
from pipeline.models.methods.reference.superpixels import superpixels
from pipeline.models.methods.reference.welsh import remap
from tests.support.paths import SHARED_PHOTOS

F32 = NDArray[np.float32]
KODAK = SHARED_PHOTOS / "eval" / "codec-corpus"


def landscape() -> F32:
    """L*, a*, b* of sky, meadow, striped wall and pond: equal lightness in places, textures of their own."""
    generator = np.random.default_rng(6)
    rows, columns = np.indices((96, 144), dtype=np.float32)
    picture = np.empty((3, 96, 144), np.float32)
    picture[:] = np.array([75, -5, -25], np.float32)[:, None, None]
    picture[0] += rows / 10
    for where, (a, b), texture in (
        (rows >= 56, (-30, 35), generator.normal(0, 9, rows.shape)),
        ((rows >= 30) & (rows < 80) & (columns > 90), (40, 30), 12 * np.sign(np.sin(columns * 1.2))),
        ((rows >= 70) & (columns < 60), (-10, -35), 5 * np.sin(rows * 0.8)),
    ):
        picture[:, where] = np.array([52, a, b], np.float32)[:, None]
        picture[0][where] += texture[where]
    return picture


def kodak(number: int) -> F32:
    with Image.open(sorted(KODAK.glob("*.jpg"))[number]) as image:
        image.thumbnail((192, 192))
        lab = srgb_to_lab(np.asarray(image.convert("RGB"), np.float32) / 255)
    return np.ascontiguousarray(np.moveaxis(lab, -1, 0), np.float32)


def colour(colorizer: Colorizer, picture_3HW: F32, reference_3hw: F32 | None = None) -> F32:
    """The picture as the colorizer sees it, L*, a*, b*."""
    guides = {} if reference_3hw is None else {"reference": torch.from_numpy(reference_3hw)[None]}
    ab = colorizer.predict_ab(torch.from_numpy(picture_3HW[None, :1].copy()), guides)
    full = torch.nn.functional.interpolate(ab, picture_3HW.shape[1:], mode="bilinear")
    return np.concatenate([picture_3HW[:1], full[0].numpy()])


def error(one_3HW: F32, other_3HW: F32) -> float:
    """Mean CIEDE2000."""
    pair = (np.moveaxis(picture, 0, -1) for picture in (one_3HW, other_3HW))
    return float(deltaE_ciede2000(*pair).mean())


@pytest.fixture(scope="module")
def automatic() -> Colorizer:
    return load_colorizer(None, None, precision="fp32").colorizer


@pytest.mark.parametrize(("method", "share"), [(ReferenceColorizer, 0.25), (WelshColorizer, 0.5)])
def test_the_truth_as_reference_beats_the_automatic_result(
    automatic: Colorizer, method: type[Colorizer], share: float
) -> None:
    truth = landscape()
    assert error(colour(method(), truth, truth), truth) < share * error(colour(automatic, truth), truth)


@pytest.mark.slow
@pytest.mark.skipif(not KODAK.is_dir(), reason="no shared photographs beside the checkout")
@pytest.mark.parametrize("number", [2, 4, 22])
def test_on_kodak_too(automatic: Colorizer, number: int) -> None:
    truth = kodak(number)
    by_reference = error(colour(ReferenceColorizer(), truth, truth), truth)
    assert by_reference < 0.5 * error(colour(automatic, truth), truth)


@pytest.mark.parametrize("method", [ReferenceColorizer, WelshColorizer])
def test_the_interface(method: type[Colorizer]) -> None:
    """Each image by its own reference, of any size; nothing else goes in."""
    truth = landscape()
    L_B1HW = torch.from_numpy(truth[None, :1, :64, :72]).repeat(2, 1, 1, 1)
    references = torch.from_numpy(truth[None, :, 16:]).repeat(2, 1, 1, 1)
    references[1, 1:] *= -1
    together = method().predict_ab(L_B1HW, {"reference": references})
    assert together.shape == (2, 2, 64, 72)
    assert together.dtype == torch.float32
    alone = [method().predict_ab(L_B1HW[:1], {"reference": references[i : i + 1]}) for i in (0, 1)]
    assert torch.equal(together, torch.cat(alone))
    assert float((together[0] - together[1]).abs().mean()) > 10
    for guides, message in (
        ({}, "needs the guide reference"),
        ({"reference": references[:1]}, "the guide reference as 2 x 3"),
        ({"reference": references, "style": L_B1HW}, "takes no guide style"),
    ):
        with pytest.raises(ValueError, match=message):
            method().predict_ab(L_B1HW, guides)


def test_flat_pictures_are_no_accident() -> None:
    """Without any difference to match by, the colour is one of the reference's."""
    flat = torch.full((1, 1, 32, 32), 50.0)
    one_colour = torch.cat([flat, torch.full_like(flat, 20), torch.full_like(flat, -30)], 1)
    for method in (ReferenceColorizer(), WelshColorizer()):
        ab = method.predict_ab(flat, {"reference": one_colour})
        torch.testing.assert_close(ab, one_colour[:, 1:], rtol=0, atol=0.1)


def test_a_picture_matches_itself() -> None:
    pieces = superpixels(landscape()[0])
    best, confidence = match(pieces, pieces)
    assert float((best == np.arange(pieces.count)).mean()) > 0.9  # a flat sky's pieces are alike
    assert confidence.min() > 0.9


def test_a_lone_dissenter_is_outvoted() -> None:
    pieces = superpixels(np.full((64, 64), 50, np.float32))
    ab = np.tile(np.float32([10, 20]), (pieces.count, 1))
    ab[pieces.count // 2] = [-60, -60]
    unsure = np.full(pieces.count, 0.4, np.float32)
    heard, confidence = vote(pieces, ab, unsure)
    np.testing.assert_array_equal(heard, np.tile(np.float32([10, 20]), (pieces.count, 1)))
    assert confidence.min() > 0.7
    unsure[pieces.count // 2] = 0.9  # but not one who is sure
    heard, confidence = vote(pieces, ab, unsure)
    np.testing.assert_array_equal(heard, ab)


def test_weighted_medians() -> None:
    """With whole weights: the lower median of the values written that many times."""
    generator = np.random.default_rng(0)
    group = generator.integers(0, 5, 200)
    value = generator.normal(size=200).astype(np.float32)
    weight = generator.integers(1, 4, 200)
    for number, got in enumerate(weighted_medians(group, value, weight.astype(np.float32), 5)):
        repeated = np.sort(np.repeat(value[group == number], weight[group == number]))
        assert got == repeated[(len(repeated) - 1) // 2]


def test_remapped_lightness_has_the_others_mean_and_spread() -> None:
    dark, light = landscape()[0] / 3, landscape()[0]
    remapped = remap(dark, light)
    np.testing.assert_allclose(remapped, light, atol=1e-3)


def test_they_have_no_weights_and_a_digest_all_the_same() -> None:
    digests = {method: weights_digest(method, None) for method in ("reference", "welsh")}
    assert len(set(digests.values())) == 2
    for method, digest in digests.items():
        loaded = load_colorizer(method, None)
        assert (loaded.method, loaded.weights_digest, loaded.precision) == (method, digest, "fp32")
        with pytest.raises(ConfigError, match="has no weights; leave them out"):
            load_colorizer(method, "iizuka")
