"""Every format and mode: the decoder returns upright lightness of the pixels that the file shows."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from pipeline.codecs.in_memory import DecodeLimits, Skip
from pipeline.codecs.metadata.profiles import examine, through_profile, to_profile
from pipeline.color.light import to_srgb8
from pipeline.color.luminance import luminance_u16_from_gray8, luminance_u16_from_srgb8
from pipeline.errors import FailureCode, ImageFailure
from pipeline.records import Status
from tests.support.samples import colourful, decoded, encoded, opened, photo, png, toned

GRAY = photo()
L_GRAY = luminance_u16_from_gray8(GRAY)


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("GIF", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "packbits"}),
        ("WEBP", {"lossless": True}),
    ],
)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_lossless_formats_give_the_lightness_of_their_pixels(
    format: str, options: dict[str, str], mode: str
) -> None:
    result = decoded(encoded(Image.fromarray(GRAY).convert(mode), format, **options))
    assert (result.width, result.height, result.alpha, result.note) == (90, 60, None, None)
    assert int(np.abs(result.L_u16.astype(int) - L_GRAY).max()) <= 2
    assert result.format == format
    assert result.model_L.shape == (64, 88)
    assert float(result.model_L.min()) >= 0
    assert float(result.model_L.max()) <= 100


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"optimize": True}, {"restart_marker_rows": 1}]
)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_is_as_pillow_decodes_it(options: dict[str, bool], mode: str) -> None:
    data = encoded(Image.fromarray(GRAY).convert(mode), "JPEG", quality=95, **options)
    shown = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_allclose(decoded(data).L_u16, luminance_u16_from_srgb8(shown), atol=2)


def test_bilevel_palette_and_animation() -> None:
    one = decoded(encoded(Image.fromarray(GRAY).convert("1"), "TIFF", compression="group4"))
    assert one.mode == "1"
    assert set(np.unique(one.L_u16)) == {0, 65535}
    palette = decoded(encoded(Image.fromarray(toned(GRAY)).quantize(64), "PNG"))
    assert palette.mode == "P"
    frames = [Image.fromarray(photo(seed=seed)) for seed in (3, 4, 5)]
    moving = decoded(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert moving.note == "first of 3 frames"
    np.testing.assert_array_equal(moving.L_u16, L_GRAY)


def test_alpha_is_kept_and_the_network_sees_white_behind_it() -> None:
    alpha = np.full(GRAY.shape, 255, np.uint8)
    alpha[:, 45:] = 0
    result = decoded(encoded(Image.fromarray(np.dstack([GRAY, alpha])), "PNG"))
    assert result.mode == "LA"
    np.testing.assert_array_equal(result.alpha, alpha)
    np.testing.assert_array_equal(result.L_u16, L_GRAY)
    assert float(result.model_L[:, -8:].min()) > 99.9
    opaque = decoded(encoded(Image.fromarray(np.dstack([toned(GRAY), np.full_like(alpha, 255)])), "PNG"))
    assert opaque.alpha is None
    hidden = np.where(alpha[..., None] == 0, colourful(), toned(GRAY))
    assert decoded(encoded(Image.fromarray(np.dstack([hidden, alpha])), "PNG")).color_spread < 6


def test_transparent_colour_key() -> None:
    data = encoded(Image.fromarray(GRAY), "PNG", transparency=int(GRAY[0, 0]))
    np.testing.assert_array_equal(decoded(data).alpha == 0, GRAY[0, 0] == GRAY)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_turns_the_pixels_and_is_not_carried_on(format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "the pier"
    options = {"JPEG": {"quality": 100}, "WEBP": {"lossless": True}}.get(format, {})
    data = encoded(Image.fromarray(GRAY), format, exif=exif, **options)
    undo = {1: (1, 0), 2: (-1, 0), 3: (1, 2), 4: (-1, 2), 5: (-1, 1), 6: (1, 3), 7: (-1, 3), 8: (1, 1)}
    mirror, turns = undo[orientation]
    # EXIF 3.0, table 8: mirror, then quarter turns to the left
    upright = np.rot90(L_GRAY[:, ::mirror], turns)
    result = decoded(data)
    assert result.L_u16.shape == upright.shape
    assert float(np.abs(result.L_u16.astype(float) - upright).mean()) < 700
    assert result.exif is not None
    carried = Image.Exif()
    carried.load(result.exif)
    assert carried.get(0x0112) is None
    assert carried[0x010E] == "the pier"


def test_toned_is_reduced_and_real_colour_is_skipped_unless_told_otherwise() -> None:
    sepia = toned(GRAY)
    result = decoded(encoded(sepia, "PNG"))
    np.testing.assert_array_equal(result.L_u16, luminance_u16_from_srgb8(sepia))
    assert result.color_spread < 3
    skipped = opened(encoded(colourful(), "PNG"))
    assert isinstance(skipped, Skip)
    assert (skipped.status, skipped.width, skipped.height, skipped.mode) == (
        Status.SKIPPED_COLOR,
        90,
        60,
        "RGB",
    )
    assert decoded(encoded(colourful(), "PNG"), skip_color=False).is_color


def wide_profile() -> bytes:
    """An RGB profile that is not sRGB: its red and blue primaries have changed places."""
    output = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(output[128:132], "big")
    entries = {bytes(output[132 + 12 * i : 136 + 12 * i]): 136 + 12 * i for i in range(count)}
    red, blue = entries[b"rXYZ"], entries[b"bXYZ"]
    output[red : red + 8], output[blue : blue + 8] = output[blue : blue + 8], output[red : red + 8]
    return bytes(output)


def test_a_profile_is_honoured_and_carried() -> None:
    icc = wide_profile()
    assert (examine(icc).mode, examine(icc).is_srgb) == ("RGB", False)
    swapped = np.ascontiguousarray(toned(GRAY)[..., ::-1])
    result = decoded(encoded(swapped, "PNG", icc_profile=icc))
    np.testing.assert_allclose(result.L_u16, luminance_u16_from_srgb8(toned(GRAY)), atol=400)
    assert result.icc == icc
    converted = to_profile(toned(GRAY), icc)
    assert converted is not None
    assert int(np.abs(converted.astype(int) - swapped).max()) <= 1
    assert int(np.abs(to_srgb8(*through_profile(converted, icc)).astype(int) - toned(GRAY)).max()) <= 2


def test_srgb_needs_no_conversion_and_a_broken_profile_is_noted() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    result = decoded(encoded(toned(GRAY), "PNG", icc_profile=srgb))
    assert result.icc == srgb
    assert to_profile(toned(GRAY), srgb) is None
    broken = decoded(encoded(toned(GRAY), "PNG", icc_profile=b"no profile at all" * 20))
    assert broken.icc is None
    assert broken.note is not None
    assert "profile was ignored" in broken.note
    np.testing.assert_array_equal(broken.L_u16, luminance_u16_from_srgb8(toned(GRAY)))


def failure(
    data: bytes, key: str = "photo", content_type: str | None = None, **options: object
) -> ImageFailure:
    with pytest.raises(ImageFailure) as caught:
        opened(data, key, content_type, **options)
    return caught.value


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (encoded(Image.fromarray(GRAY), "PPM"), "Netpbm"),
        (encoded(Image.fromarray(GRAY), "ICO"), "icon"),
        (encoded(Image.fromarray(GRAY), "PDF"), "PDF"),
        (b"8BPS\0\1" + bytes(20), "Photoshop"),
        (b"\x76\x2f\x31\x01" + bytes(20), "OpenEXR"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
    ],
)
def test_other_formats_and_depths_are_named_as_unsupported(data: bytes, word: str) -> None:
    error = failure(data)
    assert error.code == FailureCode.UNSUPPORTED
    assert word in error.message
    assert ";" in error.message  # and what to do about it


def test_what_is_no_image() -> None:
    claimed = failure(b"<html><body>404</body></html>", "a/scan.JPG")
    assert (claimed.code, "web page" in claimed.message) == (FailureCode.NOT_AN_IMAGE, True)
    assert failure(b"", "a.png").message == "the name ends in .png, but the file is empty"
    assert failure(b"plain words", "scan", "image/jpeg").code == FailureCode.NOT_AN_IMAGE
    for data in (b"", b"plain words", b"BM is how this text begins, and it is no bitmap"):
        other = opened(data, "notes.txt", "text/plain")
        assert isinstance(other, Skip)
        assert other.status == Status.SKIPPED_OTHER


def test_limits_are_checked_before_decoding() -> None:
    bomb = png(60_000, 60_000, b"\0")
    error = failure(bomb)
    assert error.code == FailureCode.TOO_LARGE
    assert "3,600,000,000" in error.message
    assert "limits.pixels" in error.message
    small = failure(encoded(GRAY, "PNG"), limits=DecodeLimits(pixels=10**6, memory=5000))
    assert small.code == FailureCode.OUT_OF_MEMORY
