"""Files as archives hold them: which picture, which channels, which orientation; kinds and variants."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from imagecodecs import jpeg2k_encode
from PIL import Image, PngImagePlugin

from pipeline.codecs.in_memory import Decoded, Skip
from pipeline.codecs.jp2 import box, boxes, jp2_bytes
from pipeline.codecs.metadata.orientation import in_xmp, settled
from pipeline.color.luminance import luminance_u16_from_gray8, luminance_u16_from_srgb16
from pipeline.color.spaces import L_U16_SCALE
from pipeline.errors import FailureCode, ImageFailure
from pipeline.records import Status
from tests.support.paths import SHARED
from tests.support.samples import decoded, encoded, opened, photo, toned
from tests.support.tiff_product import difference, in_memory, in_strips

CASES = SHARED / "cases"
GRAY = photo()
L_GRAY = luminance_u16_from_gray8(GRAY)
GRAY16 = GRAY.astype(np.uint16) * 257


def tiff(array: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, metadata=None, **options)
    return file.getvalue()


@pytest.mark.parametrize("scale", [1, 257])
@pytest.mark.parametrize("byteorder", "<>")
def test_palettes_of_8_and_of_16_bits(scale: int, byteorder: str, tmp_path: Path) -> None:
    colours = np.repeat(np.arange(255, -1, -1, dtype=np.uint16)[None] * scale, 3, axis=0)
    data = tiff(255 - GRAY, photometric="palette", colormap=colours, byteorder=byteorder)
    np.testing.assert_allclose(decoded(data).L_u16, L_GRAY, atol=2)
    assert difference(in_memory(data), in_strips(data, tmp_path)) is None


XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:{p}="http://ns.adobe.com/tiff/1.0/" {attribute}>{element}</rdf:Description></rdf:RDF></x:xmpmeta>'
    '<?xpacket end="w"?>'
)
SPELLINGS = {
    "attribute": XMP.format(p="tiff", attribute='tiff:Orientation="6"', element=""),
    "quotes": XMP.format(p="tiff", attribute="tiff:Orientation = '6'", element=""),
    "element": XMP.format(p="tiff", attribute="", element="<tiff:Orientation> 6 </tiff:Orientation>"),
    "prefix": XMP.format(p="t", attribute='t:Orientation="6"', element=""),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-be"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_orientation_that_only_xmp_states(spelling: str, encoding: str, tmp_path: Path) -> None:
    packet = SPELLINGS[spelling].encode(encoding)
    assert in_xmp(packet) == 6
    wanted = np.rot90(L_GRAY, -1)
    xmp = [(700, 1, len(packet), packet, True)]
    for array, compression in ((GRAY, None), (GRAY, "zlib"), (GRAY16, None)):
        data = tiff(array, photometric="minisblack", extratags=xmp, compression=compression)
        result = decoded(data)
        np.testing.assert_allclose(result.L_u16, wanted, atol=2)
        assert "xmp: orientation 6 applied" in result.meta.changes
        assert difference(in_memory(data), in_strips(data, tmp_path)) is None


def test_orientation_of_exif_outranks_that_of_xmp(tmp_path: Path) -> None:
    packet = SPELLINGS["attribute"].encode()
    tags = [(700, 1, len(packet), packet, True), (274, 3, 1, 3, True)]
    data = tiff(GRAY, photometric="minisblack", extratags=tags)
    result = decoded(data)
    np.testing.assert_array_equal(result.L_u16, np.rot90(L_GRAY, 2))
    assert "exif: orientation 3 applied" in result.meta.changes
    assert difference(in_memory(data), in_strips(data, tmp_path)) is None
    assert settled(1, packet).value == 1
    assert settled(0, packet) == settled(None, packet) == (6, "xmp")


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_orientation_of_xmp_in_other_formats(format_: str) -> None:
    packet = SPELLINGS["quotes"]
    options: dict[str, object] = {"xmp": packet.encode(), "quality": 95}
    if format_ == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", packet)
        options = {"pnginfo": text}
    result = decoded(encoded(Image.fromarray(GRAY), format_, **options))
    assert (result.width, result.height) == GRAY.shape
    assert "xmp: orientation 6 applied" in result.meta.changes


def bmp_with_alpha(alpha: int) -> bytes:
    """32 bits a pixel and a header of version 4, whose masks make the fourth byte alpha."""
    height, width = GRAY.shape
    rows = np.dstack([GRAY] * 3 + [np.full_like(GRAY, alpha)])[::-1].tobytes()
    masks = struct.pack("<4L", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    info = struct.pack("<LllHHLLllLL", 108, width, height, 1, 32, 3, len(rows), 0, 0, 0, 0)
    header = (info + masks).ljust(108, b"\0")
    return b"BM" + struct.pack("<LHHL", 14 + 108 + len(rows), 0, 0, 14 + 108) + header + rows


def test_alpha_that_hides_everything_is_left_out(tmp_path: Path) -> None:
    none, gray = np.zeros_like(GRAY), Image.fromarray(GRAY)
    alpha = Image.fromarray(none)
    both = gray.convert("RGB")
    both.putalpha(alpha)
    files = [bmp_with_alpha(0), encoded(both, "PNG"), encoded(both, "WEBP", lossless=True, exact=True)]
    kinds = [(GRAY, none), (GRAY16, GRAY16 * 0)]
    for kind in ("unassalpha", "assocalpha"):
        options = {"photometric": "minisblack", "planarconfig": "contig", "extrasamples": [kind]}
        files += [tiff(np.dstack(pair), **options) for pair in kinds]
    for data in files:
        result = decoded(data)
        np.testing.assert_allclose(result.L_u16, L_GRAY, atol=2)
        assert result.alpha is None
        assert "hides everything" in (result.note or "")
        if data[:2] in (b"II", b"MM"):
            assert difference(in_memory(data), in_strips(data, tmp_path)) is None
    assert decoded(bmp_with_alpha(128)).alpha is not None


@pytest.mark.parametrize(
    "options",
    [{"quality": 60}, {"quality": 95, "optimize": True}, {"progressive": True}, {"restart_marker_rows": 1}],
)
@pytest.mark.parametrize("colour", [False, True])
def test_a_jpeg_without_its_end_marker_is_whole_or_failed(options: dict[str, object], colour: bool) -> None:
    data = encoded(toned(GRAY) if colour else GRAY, "JPEG", **options)
    whole = decoded(data).L_u16
    for missing in (1, 2):
        result = decoded(data[:-missing])
        np.testing.assert_array_equal(result.L_u16, whole)
        assert "its end marker was missing" in (result.note or "")
    for missing in range(3, 14):
        with pytest.raises(ImageFailure) as caught:
            opened(data[:-missing])
        assert caught.value.code == FailureCode.TRUNCATED


@pytest.mark.parametrize(("photometric", "offset"), [(8, 0), (9, 1)])
@pytest.mark.parametrize("depth", [8, 16])
def test_cielab_keeps_the_lightness_of_the_file(
    photometric: int, offset: int, depth: int, tmp_path: Path
) -> None:
    dtype, neutral = (np.uint8, 128) if depth == 8 else (np.uint16, 32768)
    lightness = GRAY if depth == 8 else GRAY16
    ab = np.full_like(lightness, neutral * offset + 4 * (1 if depth == 8 else 256)).astype(dtype)
    most = 255 if depth == 8 else 65280 if offset else 65535
    for compression in (None, "zlib"):
        data = tiff(np.dstack([lightness, ab, ab]), photometric=photometric, compression=compression)
        result = decoded(data)
        wanted = np.minimum(lightness / most * 100, 100)
        assert np.abs(result.L_u16 / L_U16_SCALE - wanted).max() < 0.05
        assert (result.depth, result.color_spread < 1) == (depth, True)
        assert difference(in_memory(data), in_strips(data, tmp_path)) is None


def test_jp2_of_48_bits_and_what_this_program_writes_itself() -> None:
    rgb16 = np.dstack([GRAY16, GRAY16 // 2 + 9000, GRAY16 // 3 + 100])
    wanted = luminance_u16_from_srgb16(rgb16)
    loose = {"color_threshold": 1000.0}
    plain = decoded(bytes(jpeg2k_encode(rgb16, level=0, codecformat="jp2", reversible=True)), **loose)
    np.testing.assert_array_equal(plain.L_u16, wanted)
    assert (plain.depth, plain.mode) == (16, "RGB;16")
    cover = np.where(GRAY16 > 20_000, np.uint16(65535), np.uint16(0x8080))
    ours = decoded(jp2_bytes(np.dstack([rgb16, cover])), **loose)
    np.testing.assert_array_equal(ours.L_u16, wanted)
    np.testing.assert_array_equal(ours.alpha, cover)
    with pytest.raises(ImageFailure) as caught:
        opened(jp2_bytes(rgb16)[:-2000])
    assert caught.value.code == FailureCode.TRUNCATED


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_jp2_of_four_inks(dtype: type) -> None:
    most = np.iinfo(dtype).max
    ink = (most - (GRAY if dtype == np.uint8 else GRAY16)).astype(dtype)
    coded = bytes(
        jpeg2k_encode(np.dstack([ink] * 3 + [ink * 0]), level=0, codecformat="jp2", reversible=True)
    )
    parts = []
    for kind, content in boxes(coded):
        if kind == b"jp2h":
            kept = [box(k, c) for k, c in boxes(content) if k not in (b"colr", b"cdef")]
            content = b"".join([*kept, box(b"colr", struct.pack(">BBBL", 1, 0, 0, 12))])
        parts.append(box(kind, content))
    result = decoded(b"".join(parts))
    np.testing.assert_allclose(result.L_u16, L_GRAY, atol=30)
    assert result.mode == ("CMYK" if dtype == np.uint8 else "CMYK;16")
    assert "no usable CMYK profile" in (result.note or "")


@pytest.mark.parametrize(
    ("key", "data", "word"),
    [
        ("a/._scan 001.tif", b"\0\x05\x16\x07\0\2\0\0Mac OS X        " + bytes(50), "AppleDouble"),
        ("._b.JPG", bytes(4096), "AppleDouble"),
        ("a/.DS_Store", b"\0\0\0\1Bud1\0\0\x10\0", "DS_Store"),
        ("a/Thumbs.db", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "Windows"),
        ("scan.xmp", SPELLINGS["attribute"].encode(), "XMP sidecar"),
        ("scan.tif.md5", b"d41d8cd98f00b204e9800998ecf8427e  scan.tif\n", "checksums"),
        ("manifest-sha256.txt", b"ab" * 32 + b"  data/scan.tif\n", "checksums"),
        ("run/_SUCCESS", b"", "finished job"),
    ],
)
def test_companions_are_no_photographs_and_no_failures(key: str, data: bytes, word: str) -> None:
    for content_type in (None, "image/tiff", "application/octet-stream"):
        result = opened(data, key, content_type)
        assert isinstance(result, Skip)
        assert result.status == Status.SKIPPED_OTHER
        assert word in result.message


def test_a_photograph_with_the_name_of_a_companion_is_a_photograph() -> None:
    for key in ("._scan.png", "Thumbs.db", "_SUCCESS", "scan.md5"):
        assert isinstance(opened(encoded(GRAY, "PNG"), key), Decoded)


SHELF = {
    "03-palette-tiff-8bit-colormap/colormap8.tif": 0.01,
    "04-strips-first-directory-thumbnail/first_is_thumb254.tif": 0.01,
    "05-strips-extrasamples-as-alpha/rgbi8_unspecified.tif": 0.01,
    "06-infrared-as-alpha-no-tag/rgbi8_notag.tif": 0.01,
    "10-tiff-transferfunction/linear8.tif": 2.0,  # 8 bits of linear light are coarse in the shadows
    "11-subfiletype-255-thumbnail/subfiletype255.tif": 0.01,
    "14-alpha-zero-everywhere/v4_alpha0.bmp": 0.01,
}


@pytest.mark.skipif(not CASES.is_dir(), reason="the shelf of cases is not here")
@pytest.mark.parametrize("name", SHELF)
def test_the_cases_of_the_shelf_have_the_lightness_that_is_right(name: str) -> None:
    with Image.open(CASES / "truth.png") as image:
        wanted = luminance_u16_from_gray8(np.asarray(image.convert("L")))
    result = decoded((CASES / name).read_bytes())
    assert np.abs(result.L_u16.astype(int) - wanted).max() / L_U16_SCALE <= SHELF[name]
    assert result.alpha is None


@pytest.mark.skipif(not CASES.is_dir(), reason="the shelf of cases is not here")
def test_every_case_of_the_shelf_has_an_outcome() -> None:
    for path in sorted(path for path in CASES.glob("*/*")):
        result = opened(path.read_bytes(), str(path.relative_to(CASES)))
        assert isinstance(result, Skip if path.name.startswith("._") else Decoded), path
