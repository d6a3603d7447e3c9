"""Chroma of another tool's picture: it is in place to a fraction of a pixel, or is refused."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from pipeline.color import spaces
from pipeline.errors import FailureCode, ImageFailure
from pipeline.models.method_list import load_colorizer
from pipeline.models.methods.borrowed.model import ALIKE, borrowed_chroma
from pipeline.models.methods.borrowed.placement import place
from tests.support.paths import REPO

F32 = np.float32
CORNERS = np.array([[0, 1, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1]], float)


@functools.cache
def photograph(name: str = "detroit-1915.jpg", side: int = 360) -> Image.Image:
    with Image.open(REPO / "tests/photos" / name) as image:
        gray = image.convert("L")
    gray.thumbnail((side, side), Image.Resampling.LANCZOS)
    return gray


def lightness(image: Image.Image) -> np.ndarray:
    rgb = np.asarray(image.convert("RGB"), F32) / 255
    return np.ascontiguousarray(spaces.srgb_to_lab(rgb)[..., 0])


def network_input(image: Image.Image) -> np.ndarray:
    """As the job decodes it: sides are multiples of 8."""
    width, height = (round(length / 8) * 8 for length in image.size)
    plane = Image.fromarray(lightness(image)).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(plane, F32)


def coloured(image: Image.Image, ab: np.ndarray | None = None) -> np.ndarray:
    """L*, a*, b* of a picture; its chroma is `ab`, or rises from left to right and from top to bottom."""
    L = lightness(image)
    y, x = np.mgrid[0 : L.shape[0], 0 : L.shape[1]].astype(F32)
    field = np.stack([30 * x / L.shape[1] - 10, 25 - 40 * y / L.shape[0]]) if ab is None else ab
    return np.concatenate([L[None], field.astype(F32)])


def apart(map_23: np.ndarray, wanted_23: list[list[float]], size: tuple[int, int]) -> float:
    """Pixels of the picture by which the two maps differ at a corner of the photograph."""
    return float(np.abs((map_23 - wanted_23) @ CORNERS * np.array(size)[:, None]).max())


def test_a_picture_of_the_same_frame_keeps_every_number_of_its_chroma() -> None:
    image = photograph()
    picture = coloured(image)
    assert np.array_equal(borrowed_chroma(network_input(image), picture), picture[1:])


@pytest.mark.parametrize("box", [(5, 7, 3, 2), (0, 0, 9, 0), (4, 1, 6, 8)])
def test_a_crop_of_some_pixels(box: tuple[int, int, int, int]) -> None:
    image = photograph()
    (width, height), (left, top, right, bottom) = image.size, box
    cropped = image.crop((left, top, width - right, height - bottom))
    w, h = cropped.size
    placed = place(network_input(image), lightness(cropped))
    assert apart(placed.map_23, [[width / w, 0, -left / w], [0, height / h, -top / h]], cropped.size) < 0.25
    field = coloured(image)[1:]
    ab = borrowed_chroma(
        network_input(image), coloured(image)[:, top : height - bottom, left : width - right]
    )
    assert ab.shape == (2, h, w)
    for plane, whole in zip(ab, field, strict=True):
        wanted = np.asarray(Image.fromarray(whole).resize((w, h), Image.Resampling.BILINEAR))
        assert np.abs(plane - wanted)[10:-10, 10:-10].max() < 0.1


def test_a_border_around_it() -> None:
    image = photograph()
    (width, height), (w, h) = image.size, (image.width + 46, image.height + 30)
    framed = Image.new("L", (w, h), 245)
    framed.paste(image, (28, 11))
    placed = place(network_input(image), lightness(framed))
    assert apart(placed.map_23, [[width / w, 0, 28 / w], [0, height / h, 11 / h]], (w, h)) < 0.25
    assert (placed.alike > 0.9, placed.covered) == (True, 1.0)


@pytest.mark.slow
@settings(max_examples=6, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    shift=st.tuples(st.floats(-5, 5), st.floats(-5, 5)),
    scale=st.floats(0.93, 1.06),
    angle=st.floats(-0.4, 0.4),
    gamma=st.floats(0.6, 1.6),
)
def test_any_small_shift_scale_and_angle_under_any_tone(shift, scale, angle, gamma) -> None:
    """Within a quarter of a pixel at every corner."""
    image = photograph(side=300).point(lambda level: int(255 * (level / 255) ** gamma + 0.5))
    (width, height), turn = image.size, np.radians(angle)
    forward = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    middle = np.array([width, height]) / 2
    offset = middle + shift - forward @ middle  # from the photograph's pixels to the picture's
    back = np.linalg.inv(forward)
    data = np.column_stack([back, -back @ offset]).ravel()
    framed = ImageOps.expand(image, 20, 128)  # so that nothing of the photograph is cut off
    data[[2, 5]] += 20 - back @ [20, 20]
    moved = framed.transform(framed.size, Image.Transform.AFFINE, tuple(data), Image.Resampling.BICUBIC)
    w, h = moved.size
    placed = place(network_input(photograph(side=300)), lightness(moved))
    wanted = np.column_stack([forward * [width, height], offset + 20]) / [[w], [h]]
    assert apart(placed.map_23, wanted, (w, h)) < 0.25
    assert placed.alike > 0.9
    assert placed.angle == pytest.approx(angle, abs=0.08)  # which is a quarter of a pixel at a corner


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (ImageOps.mirror, "is mirrored"),
        (ImageOps.flip, "upside down and mirrored"),
        (lambda image: image.transpose(Image.Transpose.ROTATE_180), "turned by 180 degrees"),
        (lambda image: image.transpose(Image.Transpose.ROTATE_90), "turned by 90 degrees to the left"),
        (lambda image: image.transpose(Image.Transpose.ROTATE_270), "turned by 90 degrees to the right"),
        (lambda image: image.transpose(Image.Transpose.TRANSPOSE), "turned by 90 degrees and mirrored"),
        (
            lambda image: image.rotate(-2, Image.Resampling.BICUBIC),
            r"turned by 2\.0 degrees clockwise, sheared by 0\.0",
        ),
        (lambda image: image.rotate(9, Image.Resampling.BICUBIC), r"turned by 9\.0 degrees counterclockwise"),
        (lambda image: image.rotate(-17, Image.Resampling.BICUBIC), "turned by 17.0 degrees clockwise"),
        (lambda image: image.crop((90, 0, *image.size)), r"shows 7\d % of the photograph \(match 9\d %\)"),
        (
            lambda image: photograph("pet-ducks-1927.jpg"),
            r"something else: .* matches the photograph's by 1?\d %, but 40 % are",
        ),
        (ImageOps.invert, "something else: .* matches the photograph's by"),
        (lambda image: Image.new("L", image.size, 128), "matches the photograph's by 0 %"),
        (lambda image: image.resize((12, 9)), "of 12 x 9 is too small"),
    ],
)
def test_what_is_refused_and_why(change, said: str) -> None:
    image = photograph()
    with pytest.raises(ImageFailure, match=said) as refused:
        borrowed_chroma(network_input(image), coloured(change(image)))
    assert refused.value.code == FailureCode.GUIDE_INVALID


def test_what_a_tool_has_redrawn_does_not_matter() -> None:
    """A quarter of the picture is another one: chroma is taken, and it lies where it did."""
    image = photograph()
    redrawn = image.copy()
    redrawn.paste(photograph("pet-ducks-1927.jpg").resize((180, 140)), (20, 20))
    placed = place(network_input(image), lightness(redrawn))
    assert ALIKE < placed.alike < 0.9
    assert apart(placed.map_23, [[1, 0, 0], [0, 1, 0]], image.size) < 0.5


def test_the_model_door() -> None:
    colorizer = load_colorizer("borrowed", None).colorizer
    L = torch.tensor(network_input(photograph()))[None, None]
    picture = torch.from_numpy(coloured(photograph()))[None]
    assert torch.equal(colorizer.predict_ab(L, {"picture": picture}), picture[:, 1:])
    both = colorizer.predict_ab(L.repeat(2, 1, 1, 1), {"picture": picture.repeat(2, 1, 1, 1)})
    assert torch.equal(both, picture[:, 1:].repeat(2, 1, 1, 1))
    with pytest.raises(ValueError, match="needs the guide picture"):
        colorizer.predict_ab(L)
    with pytest.raises(ValueError, match="1 x 3 x h x w"):
        colorizer.predict_ab(L, {"picture": picture[:, :2]})
