"""Metadata that results keep from their sources, and the list of what they cannot keep: read by exiftool."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.codecs.encode import encode
from pipeline.codecs.metadata.exif import completed
from pipeline.codecs.metadata.iptc import carried_iptc, photoshop_segment, tiff_words
from pipeline.codecs.metadata.profiles import srgb_profile
from pipeline.codecs.metadata.xmp import LARGEST_PACKET, xmp_packet, xmp_segments
from pipeline.config.output import OutputConfig
from tests.codecs.metadata.test_provenance import PROVENANCE, exiftool
from tests.support.exiftool import tags_of, write_tags
from tests.support.samples import colourful, decoded, encoded, photo

FORMATS = ["jpeg", "png", "webp", "tiff", "jp2"]
SOURCES = ["JPEG", "TIFF", "PNG", "WEBP"]
WRITTEN = {
    "IFD0:ImageDescription": "the pier at Southport",
    "IFD0:Artist": "A. Keeper",
    "IFD0:XPKeywords": "pier;sea",
    "ExifIFD:DateTimeOriginal": "1911:05:01 12:00:00",
    "GPS:GPSLatitude": "53.65",
    "GPS:GPSLatitudeRef": "N",
    "GPS:GPSProcessingMethod": "MANUAL",
    "XMP-photoshop:City": "Southport",
    "XMP-tiff:Orientation#": "6",
    "XMP-xmp:CreatorTool": "Scanner 3",
}
IPTC = {"IPTC:Caption-Abstract": "the pier", "IPTC:Keywords": "sea", "IPTC:City": "Southport"}
# EXIF knows no TIFF that is deflated; TIFF itself does (technical note 2).
DEFLATED = {"Invalid value for IFD0 tag 0x0103 Compression"}
KEPT = {
    "IFD0:ImageDescription": "the pier at Southport",
    "IFD0:Artist": "A. Keeper",
    "IFD0:XPKeywords": "pier;sea",
    "ExifIFD:DateTimeOriginal": "1911:05:01 12:00:00",
    "GPS:GPSLatitudeRef": "North",
    "XMP-photoshop:City": "Southport",
    "XMP-xmp:CreatorTool": "Scanner 3",
}


def tagged(data: bytes, tags: dict[str, str], folder: Path) -> bytes:
    """The file with tags that exiftool wrote."""
    file = folder / "source"
    file.write_bytes(data)
    write_tags(file, tags)
    assert file.read_bytes() != data
    return file.read_bytes()


def result(data: bytes, format: str, tmp_path: Path, **options: Any) -> tuple[dict[str, Any], list[str]]:
    """The tags of a result, and what was listed."""
    actual, listed = decoded(data, **options), []
    colours = colourful(actual.height, actual.width)
    output = encode(colours, actual, None, OutputConfig(format=format), PROVENANCE, listed)  # type: ignore[arg-type]
    return exiftool(output, tmp_path), listed


def warnings(data: bytes, folder: Path) -> set[str]:
    """What `exiftool -validate` finds wrong, without the numbers in it."""
    file = folder / "validated"
    file.write_bytes(data)
    tags = tags_of(file, "-validate", "-warning", "-error", "-a")
    return {str(value) for key, value in tags.items() if key not in ("SourceFile", "Validate")}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("source", SOURCES)
def test_what_is_said_of_the_photograph_is_kept(source: str, format: str, tmp_path: Path) -> None:
    has_iptc = source in ("JPEG", "TIFF")
    data = tagged(encoded(photo(), source), WRITTEN | (IPTC if has_iptc else {}), tmp_path)
    tags, listed = result(data, format, tmp_path)
    assert {name: tags.get(name) for name in KEPT} == KEPT
    assert "53 deg 39'" in tags["GPS:GPSLatitude"]
    assert "XMP-tiff:Orientation" not in tags
    assert [message for message in listed if message.startswith("xmp: tiff:Orientation left out")]
    if has_iptc and format != "webp":
        assert {name: tags.get(name) for name in IPTC} == IPTC
    assert bool([message for message in listed if message.startswith("iptc")]) == (
        has_iptc and format == "webp"
    )


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("source", SOURCES)
def test_no_result_gives_exiftool_more_to_complain_of(source: str, format: str, tmp_path: Path) -> None:
    tags = WRITTEN | {"IFD0:XResolution": "300", "IFD0:YResolution": "300", "IFD0:ResolutionUnit": "inches"}
    data = tagged(encoded(photo(), source), tags | (IPTC if source == "JPEG" else {}), tmp_path)
    actual = decoded(data)
    rgb = colourful(actual.height, actual.width)
    output = encode(rgb, actual, None, OutputConfig(format=format), PROVENANCE)  # type: ignore[arg-type]
    assert warnings(output, tmp_path) <= warnings(data, tmp_path) | (DEFLATED if format == "tiff" else set())


@pytest.mark.parametrize(("source", "format"), [("JPEG", name) for name in FORMATS] + [("TIFF", "tiff")])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(orientation: int, source: str, format: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = orientation, "pier"
    tags, listed = result(encoded(photo(), source, exif=exif), format, tmp_path)
    assert tags.get("IFD0:Orientation", "Horizontal (normal)") == "Horizontal (normal)"
    assert (f"exif: orientation {orientation} applied" in listed) == (orientation != 1)


@pytest.mark.parametrize("format", FORMATS)
def test_resolution_keeps_its_fractions_and_loses_its_unit(format: str, tmp_path: Path) -> None:
    given_in_cm = {"IFD0:XResolution": "118.25", "IFD0:YResolution": "118.25", "IFD0:ResolutionUnit": "cm"}
    data = tagged(encoded(photo(), "TIFF"), given_in_cm, tmp_path)
    tags, listed = result(data, format, tmp_path)
    assert tags["IFD0:XResolution"] == pytest.approx(118.25 * 2.54, abs=1e-3)
    assert tags["IFD0:ResolutionUnit"] == "inches"
    assert "dpi: 118.25 per cm written as 300.355 per inch" in listed


@pytest.mark.parametrize("format", FORMATS)
def test_profiles_are_kept_or_named(format: str, tmp_path: Path) -> None:
    assert "icc: none, sRGB assumed" in result(encoded(photo(), "PNG"), format, tmp_path)[1]
    rgb = np.dstack([photo()] * 3)
    tags, listed = result(encoded(rgb, "PNG", icc_profile=srgb_profile()), format, tmp_path)
    if format == "jp2":  # which knows sRGB by its number
        assert tags["Jpeg2000:ColorSpace"] == "sRGB"
    else:
        assert "ICC_Profile:ProfileDescription" in tags
    assert bool([message for message in listed if message.startswith("icc")]) == (format == "jp2")


def test_a_long_packet_goes_on_as_extended_xmp_and_comes_back(tmp_path: Path) -> None:
    long = b"x" * LARGEST_PACKET
    source = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about="" xmlns:u="http://ns.example.org/u/" u:note="' + long + b'"/></rdf:RDF>'
        b"</x:xmpmeta>"
    )
    first = xmp_packet(PROVENANCE, source, most=LARGEST_PACKET)
    assert first.extended is not None
    data = encoded(photo(), "JPEG", extra=xmp_segments(first.main, first.extended))
    assert decoded(data).meta.xmp_extended == first.extended
    tags, listed = result(data, "jpeg", tmp_path)
    assert tags["XMP-u:Note"] == long.decode()
    assert [event["Action"] for event in tags["XMP-xmpMM:History"]] == ["colorized", "colorized"]
    assert "xmp: over 64 KB, continued as extended XMP" in listed
    assert result(data, "png", tmp_path)[0]["XMP-u:Note"] == long.decode()


def iim(*data_sets: tuple[int, int, bytes]) -> bytes:
    return b"".join(b"\x1c" + struct.pack(">BBH", r, n, len(value)) + value for r, n, value in data_sets)


def test_data_sets_about_the_pixels_are_left_out() -> None:
    caption = (2, 120, b"the pier")
    kept, listed = carried_iptc(iim((1, 90, b"\x1b%G"), caption, (2, 130, b"1W"), (3, 20, b"\0\x10")))
    assert kept == iim((1, 90, b"\x1b%G"), caption)
    assert listed == ["iptc: 2:130, 3:20 left out, they described the source's pixels"]
    assert carried_iptc(iim(caption) + bytes(3)) == (iim(caption), [])
    assert carried_iptc(iim(caption)[:-1]) == (None, ["iptc: was cut short, left out"])
    assert carried_iptc(b"no data sets") == (None, ["iptc: did not parse, left out"])


@pytest.mark.slow
@given(st.binary(max_size=300))
@settings(deadline=None)
def test_hostile_metadata_costs_itself_and_never_the_image(noise: bytes) -> None:
    segments = xmp_segments(noise) + photoshop_segment(noise or b"\x1c")
    exif = b"Exif\x00\x00II*\x00\x08\x00\x00\x00" + noise
    actual = decoded(encoded(photo(), "JPEG", exif=exif, extra=segments, comment=noise))
    rgb = colourful(actual.height, actual.width)
    for format in FORMATS:
        assert encode(rgb, actual, None, OutputConfig(format=format), PROVENANCE)  # type: ignore[arg-type]


def test_metadata_too_large_for_a_segment_is_left_out_and_listed(tmp_path: Path) -> None:
    keywords = iim(*[(2, 25, b"k" * 60)] * 1100)
    data = encoded(photo(), "TIFF", tiffinfo={33723: tiff_words(keywords)})
    assert "iptc: over 64 KB, left out" in result(data, "jpeg", tmp_path)[1]
    tags, listed = result(data, "tiff", tmp_path)
    assert len(tags["IPTC:Keywords"]) == 1100
    assert not [message for message in listed if message.startswith("iptc")]


def test_colour_space_is_that_of_the_finished_file() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 0xFFFF
    for is_srgb, wanted in ((True, 1), (False, 0xFFFF)):
        output = Image.Exif()
        output.load(completed(exif.tobytes(), None, "png", is_srgb=is_srgb) or b"")
        assert output.get_ifd(0x8769)[0xA001] == wanted
