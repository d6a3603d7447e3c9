"""What the encoder writes: the pixels and everything that a result says about itself, read with Pillow."""

from __future__ import annotations

import io
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from pipeline.codecs.encode import encode
from pipeline.codecs.in_memory import Decoded
from pipeline.codecs.metadata.xmp import Provenance, xmp_packet
from pipeline.codecs.metadata.xmp_source import FIAT_NAMESPACE, LARGEST_SOURCE
from pipeline.config.output import OutputConfig
from pipeline.errors import FailureCode, ImageFailure
from tests.codecs.test_in_memory import wide_profile
from tests.support.samples import colourful, decoded, encoded, photo

FORMATS = ["jpeg", "png", "webp", "tiff"]
PROVENANCE = Provenance(
    digital_source_type="compositeWithTrainedAlgorithmicMedia",
    method="iizuka",
    weights_digest="ab" * 32,
    software="Fiat Color 0.1.0",
    source_name='pier <1> & "two"\x01.tif',
    source_sha256="cd" * 32,
)
RGB = colourful()
IPTC_CODES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
DC_FORMAT = "{http://purl.org/dc/elements/1.1/}format"
SOURCE_XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"
 xmp:CreatorTool="Scanner 3" dc:format="image/tiff"/>
</rdf:RDF></x:xmpmeta>"""


def source(**options: object) -> Decoded:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "the pier"
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.Exif).update({0x9003: "1911:05:01 12:00:00", 0xA002: 60, 0xA003: 90})
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    gray = photo(90, 60)
    return decoded(encoded(gray, "JPEG", exif=exif, dpi=(600, 600), xmp=SOURCE_XMP, **options))


def written(format: str, what: Decoded, icc: bytes | None = None, quality: int = 92) -> Image.Image:
    data = encode(RGB, what, icc, OutputConfig(format=format, quality=quality), PROVENANCE)
    assert data == encode(RGB, what, icc, OutputConfig(format=format, quality=quality), PROVENANCE)
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def xmp_of(image: Image.Image) -> bytes:
    result = image.info.get("xmp") or image.tag_v2[700]  # type: ignore[attr-defined]
    return result if isinstance(result, bytes) else result.encode()


@pytest.mark.parametrize("format", FORMATS)
def test_metadata_comes_back(format: str) -> None:
    image = written(format, source())
    assert (image.format, image.size, image.mode) == (format.upper(), (90, 60), "RGB")
    exif = image.getexif()
    assert exif[ExifTags.Base.ImageDescription] == "the pier"
    assert exif.get(ExifTags.Base.Orientation, 1) == 1
    inner = exif.get_ifd(ExifTags.IFD.Exif)
    assert inner[0x9003] == "1911:05:01 12:00:00"
    if format != "tiff":  # whose own tags say it
        assert (inner[0xA002], inner[0xA003]) == (90, 60)
    assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
    if format == "webp":  # which has no field of its own for it
        assert float(exif[ExifTags.Base.XResolution]) == 600
    else:
        assert image.info["dpi"] == pytest.approx((600, 600), abs=0.01)
    profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileName(profile)
    text = xmp_of(image).decode()
    assert (
        f'DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/{PROVENANCE.digital_source_type}"'
        in text
    )
    assert "Fiat Color 0.1.0" in text
    assert 'dc:format="image/tiff"' in text
    assert "Scanner 3" in text  # the first known tool
    assert "Orientation" not in text


@pytest.mark.parametrize("format", ["png", "tiff"])
def test_lossless_formats_keep_every_pixel_and_alpha(format: str) -> None:
    np.testing.assert_array_equal(np.asarray(written(format, source())), RGB)
    alpha = photo(seed=8)
    image = written(format, replace(source(), alpha=alpha))
    np.testing.assert_array_equal(np.asarray(image), np.dstack([RGB, alpha]))


def test_a_tiff_of_many_strips_keeps_every_pixel() -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (700, 400, 3), np.uint8)
    data = encode(rgb, source(), None, OutputConfig(format="tiff"), PROVENANCE)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), rgb)


def test_webp_keeps_alpha_and_jpeg_lays_it_on_white() -> None:
    alpha = np.zeros(RGB.shape[:2], np.uint8)
    alpha[:, :40] = 255
    what = replace(source(), alpha=alpha)
    np.testing.assert_array_equal(np.asarray(written("webp", what).getchannel("A")), alpha)
    flat = np.asarray(written("jpeg", what))
    assert int(flat[:, 60:].min()) >= 250
    assert float(np.abs(flat[:, :32].astype(float) - RGB[:, :32]).mean()) < 8


def test_jpeg_chroma_is_full_from_quality_90_on() -> None:
    assert written("jpeg", source(), quality=90).layer[0][1:3] == (1, 1)  # type: ignore[attr-defined]
    assert written("jpeg", source(), quality=89).layer[0][1:3] == (2, 2)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("asked", "factors"), [("4:4:4", (1, 1)), ("4:2:2", (2, 1)), ("4:2:0", (2, 2))])
def test_jpeg_chroma_is_as_asked_for(asked: str, factors: tuple[int, int]) -> None:
    data = encode(RGB, source(), None, OutputConfig(subsampling=asked), PROVENANCE)
    assert Image.open(io.BytesIO(data)).layer[0][1:3] == factors  # type: ignore[attr-defined]


@pytest.mark.parametrize(("asked", "scheme"), [("none", 1), ("lzw", 5), ("deflate", 8), ("auto", 8)])
def test_tiff_compression_is_as_asked_for(asked: str, scheme: int) -> None:
    data = encode(RGB, source(), None, OutputConfig(format="tiff", compression=asked), PROVENANCE)
    image = Image.open(io.BytesIO(data))
    assert image.tag_v2[259] == scheme  # type: ignore[attr-defined]
    assert image.tag_v2.get(317, 1) == (1 if asked == "none" else 2)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(np.asarray(image), RGB)


@pytest.mark.parametrize("format", FORMATS)
def test_the_profile_of_the_pixels_is_embedded(format: str) -> None:
    icc = wide_profile()
    assert written(format, source(), icc).info["icc_profile"] == icc
    assert written(format, source()).info["icc_profile"] == written("png", source()).info["icc_profile"]


def test_sizes_that_a_format_cannot_hold() -> None:
    wide = np.zeros((1, 16_400, 3), np.uint8)
    with pytest.raises(ImageFailure) as caught:
        encode(wide, source(), None, OutputConfig(format="webp"), PROVENANCE)
    assert caught.value.code == FailureCode.ENCODE_FAILED
    assert "16,383" in caught.value.message


def description(packet: bytes, name: str) -> str | None:
    results = [
        element.get(name) for element in ElementTree.fromstring(packet.strip()).iter() if element.get(name)
    ]
    assert len(results) <= 1
    return results[0] if results else None


@pytest.mark.parametrize(
    "hostile",
    [
        b"not XML",
        b"<x/>",
        SOURCE_XMP[:-20],
        b'<!DOCTYPE x [<!ENTITY a "b">]>' + SOURCE_XMP,
        SOURCE_XMP.replace(b"image/tiff", b"x" * LARGEST_SOURCE),
        SOURCE_XMP.replace(b"</rdf:RDF>", b"<a>" * 2000 + b"</a>" * 2000 + b"</rdf:RDF>"),
    ],
)
def test_a_source_packet_that_is_not_sound_is_replaced(hostile: bytes) -> None:
    packet = xmp_packet(PROVENANCE, hostile)
    assert packet.main == xmp_packet(PROVENANCE).main
    (change,) = packet.changes
    assert change.startswith("xmp: ")
    assert change.endswith(", left out")


def test_packets_are_well_formed_and_do_not_depend_on_what_came_before() -> None:
    first = xmp_packet(PROVENANCE, SOURCE_XMP).main
    assert description(first, DC_FORMAT) == "image/tiff"
    assert str(description(first, IPTC)).startswith(IPTC_CODES)
    assert description(first, f"{{{FIAT_NAMESPACE}}}SourceName") == 'pier <1> & "two"\ufffd.tif'
    unprefixed = SOURCE_XMP.replace(b"xmlns:dc=", b"xmlns:other=").replace(b"dc:format", b"other:format")
    assert description(xmp_packet(PROVENANCE, unprefixed).main, DC_FORMAT) == "image/tiff"
    assert xmp_packet(PROVENANCE, SOURCE_XMP).main == first
    again = xmp_packet(PROVENANCE, first).main
    assert description(again, IPTC) == description(first, IPTC)
