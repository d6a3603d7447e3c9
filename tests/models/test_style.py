"""Style of another picture: its global features in place of the image's own, with the method iizuka."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from pipeline.color.spaces import srgb_to_lab
from pipeline.models.base import Colorizer
from pipeline.models.method_list import load_colorizer
from pipeline.models.methods.iizuka import IizukaColorizer
from tests.support.paths import SAMPLES as PHOTOS
from tests.support.paths import SHARED_PHOTOS

SUNSET = SHARED_PHOTOS / "research/Intel-Image-Classifier/04081_8569.jpg"
STREETS = (
    "detroit-1915.jpg",
    "saratoga-springs-broadway-1900.jpg",
    "madison-square-1900.jpg",
    "buffalo-savings-bank-1908.jpg",
)


@pytest.fixture(scope="module")
def shipped() -> Colorizer:
    return load_colorizer("iizuka", "iizuka", precision="fp32").colorizer


def lightness(file: Path, short_side: int = 224) -> Tensor:
    with Image.open(file) as image:
        scale = short_side / min(image.size)
        width, height = (round(side * scale / 8) * 8 for side in image.size)
        rgb = np.asarray(image.convert("RGB").resize((width, height)), np.float32) / 255
    return torch.from_numpy(srgb_to_lab(rgb)[..., 0].astype(np.float32))[None, None]


def shift(colorizer: Colorizer, street: str, style: Path) -> Tensor:
    """How far the style moves the street's mean (a*, b*)."""
    L_B1HW = lightness(PHOTOS / street)
    styled = colorizer.predict_ab(L_B1HW, {"style": lightness(style)})
    return (styled - colorizer.predict_ab(L_B1HW)).mean((0, 2, 3))


@pytest.mark.slow
@pytest.mark.parametrize("street", STREETS)
def test_a_portrait_warms_a_street(shipped: Colorizer, street: str) -> None:
    """Colour of skin and cloth, which the network expects of a close portrait, spreads to the houses."""
    a, b = shift(shipped, street, PHOTOS / "migrant-mother-1936.jpg")
    assert float(a) > 2
    assert float(b) > 4


@pytest.mark.skipif(not SUNSET.exists(), reason="no shared photographs beside the checkout")
@pytest.mark.parametrize("street", STREETS)
def test_a_sunset_warms_a_daylight_street(shipped: Colorizer, street: str) -> None:
    """A sunset behind surfboards. Of seven sunsets two do so: the others look like a bright sea."""
    a, b = shift(shipped, street, SUNSET)
    assert float(a) > 2
    assert float(b) > 2


@pytest.mark.parametrize("size", [(224, 224), (160, 96)])
def test_its_own_style_changes_nothing(shipped: Colorizer, size: tuple[int, int]) -> None:
    L_B1HW = torch.rand((1, 1, *size), generator=torch.Generator().manual_seed(0)) * 100
    torch.testing.assert_close(
        shipped.predict_ab(L_B1HW, {"style": L_B1HW}), shipped.predict_ab(L_B1HW), rtol=0, atol=1e-3
    )


def test_each_image_takes_its_own_style(shipped: Colorizer) -> None:
    L_B1HW = lightness(PHOTOS / STREETS[0], 96).expand(2, -1, -1, -1)
    generator = torch.Generator().manual_seed(0)
    styles = (
        torch.rand((2, 1, 64, 40), generator=generator) * torch.tensor([100.0, 20.0])[:, None, None, None]
    )
    together = shipped.predict_ab(L_B1HW, {"style": styles})
    alone = [shipped.predict_ab(L_B1HW[:1], {"style": styles[i : i + 1]}) for i in (0, 1)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-2)
    assert float((together[0] - together[1]).abs().mean()) > 0.5


def test_what_is_no_style_is_refused() -> None:
    colorizer = IizukaColorizer(0.125, global_side=64).eval()
    L_B1HW = torch.rand(2, 1, 64, 64)
    for shape in ((1, 1, 64, 64), (2, 3, 64, 64), (2, 1, 60, 64), (2, 64, 64)):
        with pytest.raises(ValueError, match="the guide style as 2 x 1 x h x w"):
            colorizer.predict_ab(L_B1HW, {"style": torch.zeros(shape)})
    baseline = IizukaColorizer(0.125, global_branch=False).eval()
    with pytest.raises(ValueError, match="takes no guide style"):
        baseline.predict_ab(L_B1HW, {"style": L_B1HW})
