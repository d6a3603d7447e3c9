"""Texts in EXIF keep their bytes, whatever their encoding: read by the real exiftool."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.codecs.encode import encode
from pipeline.codecs.masters import Master
from pipeline.codecs.metadata.block import ResultMetadata
from pipeline.codecs.metadata.profiles import srgb_profile
from pipeline.codecs.tiff.writer import tiff_bytes
from pipeline.config.output import OutputConfig
from tests.codecs.metadata.test_provenance import PROVENANCE
from tests.support.exiftool import tags_of, write_tags
from tests.support.samples import colourful, decoded, encoded, photo

FORMATS = ["jpeg", "png", "webp", "tiff", "jp2"]
ASCII, UTF8 = 2, 129
EXIF, GPS = 0x8769, 0x8825
#: The text fields of each directory (TIFF 6.0, EXIF 3.0), by exiftool's names.
FIELDS = {
    None: {
        "DocumentName": 269, "ImageDescription": 270, "Make": 271, "Model": 272, "PageName": 285,
        "Software": 305, "ModifyDate": 306, "Artist": 315, "HostComputer": 316, "TargetPrinter": 337,
        "Copyright": 33432, "ImageHistory": 37395, "UniqueCameraModel": 50708, "Exif_0xff14": 65300,
    },
    EXIF: {
        "SpectralSensitivity": 0x8824, "DateTimeOriginal": 0x9003, "CreateDate": 0x9004,
        "OffsetTime": 0x9010, "SubSecTime": 0x9290, "RelatedSoundFile": 0xA004, "ImageUniqueID": 0xA420,
        "OwnerName": 0xA430, "SerialNumber": 0xA431, "LensMake": 0xA433, "LensModel": 0xA434,
        "LensSerialNumber": 0xA435, "Exif_0xa436": 0xA436, "Exif_0xa437": 0xA437,
    },
    GPS: {"GPSSatellites": 8, "GPSMapDatum": 18, "GPSDateStamp": 29},
}  # fmt: skip
# exiftool puts these dates into its own form.
DATES = {"ModifyDate", "DateTimeOriginal", "CreateDate", "GPSDateStamp"}
TEXTS = {"ascii": "Zurich, pier", "utf8": "Zürich, Bürkliplatz – 1923", "latin": "Zürich, Bürkliplatz"}
CHARSETS = {"ascii": "Latin", "utf8": "UTF8", "latin": "Latin"}
ENCODINGS = {"ascii": "ascii", "utf8": "utf-8", "latin": "latin-1"}


def block(values: dict[int | None, dict[int, bytes]], kind: int = ASCII) -> bytes:
    """An EXIF block with these fields, each ended by a zero byte, in its three directories."""
    places: dict[int, int] = {}
    body = b"II*\x00" + bytes(4)
    for group in (EXIF, GPS, None):
        fields = {tag: (kind, value + b"\x00") for tag, value in values.get(group, {}).items()}
        if group is None:
            fields |= {tag: (4, struct.pack("<L", place)) for tag, place in places.items()}
        entries, rest = b"", b""
        start = len(body) + 2 + 12 * len(fields) + 4
        for tag in sorted(fields):
            type_, value = fields[tag]
            inline = value.ljust(4, b"\x00") if len(value) <= 4 else struct.pack("<L", start + len(rest))
            rest += value + bytes(len(value) % 2) if len(value) > 4 else b""
            entries += struct.pack("<HHL", tag, type_, len(value) // (4 if type_ == 4 else 1)) + inline
        if group is not None and fields:
            places[group] = len(body)
        elif group is None:
            body = body[:4] + struct.pack("<L", len(body)) + body[8:]
        body += struct.pack("<H", len(fields)) + entries + bytes(4) + rest
    return b"Exif\x00\x00" + body


def everywhere(text: bytes) -> dict[int | None, dict[int, bytes]]:
    """The text in every field, with its number, so that no two are the same."""
    return {group: {tag: text + b" %d" % tag for tag in fields.values()} for group, fields in FIELDS.items()}


def source(format: str, exif: bytes) -> bytes:
    if format == "tiff":
        return tiff_bytes(
            colourful(), ResultMetadata(srgb_profile(), b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>", exif=exif)
        )
    return encoded(photo(), format.upper(), exif=exif)


def result(data: bytes, format: str) -> tuple[bytes, list[str]]:
    """The file of a result, and what was listed."""
    picture, listed = decoded(data, skip_color=False), list[str]()
    config = OutputConfig(format=format)  # type: ignore[arg-type]
    rgb = colourful(picture.height, picture.width)
    return encode(rgb, picture, None, config, PROVENANCE, listed), listed


def exif_changes(listed: list[str]) -> list[str]:
    return [change for change in listed if change.startswith("exif")]


def texts(data: bytes, charset: str, folder: Path) -> dict[str, Any]:
    """What exiftool reads, by the name of the field, with an unknown one by its number."""
    file = folder / "result"
    file.write_bytes(data)
    return tags_of(file, "-u", "-EXIF:all", "-charset", f"exif={charset}")


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", TEXTS)
def test_every_field_keeps_its_bytes(name: str, format: str, tmp_path: Path) -> None:
    values = everywhere(TEXTS[name].encode(ENCODINGS[name]))
    data, listed = result(source("jpeg", block(values)), format)
    assert exif_changes(listed) == []
    for fields in values.values():
        for tag, text in fields.items():
            assert text + b"\x00" in data, tag
    tags = texts(data, CHARSETS[name], tmp_path)
    wanted = {field: f"{TEXTS[name]} {tag}" for fields in FIELDS.values() for field, tag in fields.items()}
    assert {field: tags.get(field) for field in wanted if field not in DATES} == {
        field: text for field, text in wanted.items() if field not in DATES
    }


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("container", ["jpeg", "png", "webp", "tiff"])
def test_every_source_keeps_its_bytes(container: str, format: str) -> None:
    values = everywhere("Bürkliplatz – Frühjahr".encode())
    data, listed = result(source(container, block(values)), format)
    assert exif_changes(listed) == []
    assert all(text + b"\x00" in data for fields in values.values() for text in fields.values())


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "text", [b"photographer\x00editor", b"a\x00\x00b", b"padded\x00\x00\x00\x00", b"\xff\x80\x81", b""]
)
def test_zero_bytes_inside_and_bytes_of_no_encoding_are_kept(text: bytes, format: str) -> None:
    values: dict[int | None, dict[int, bytes]] = {
        None: {270: text, 315: text, 33432: text},
        EXIF: {0xA434: text},
    }
    data, listed = result(source("jpeg", block(values)), format)
    assert exif_changes(listed) == []
    exif = Image.Exif()
    if format == "jp2":
        exif.load(data[data.index(b"JpgTiffExif->JP2") + 16 :])
    else:
        exif = Image.open(io.BytesIO(data)).getexif()
    lens = exif.get_ifd(EXIF)[0xA434]
    assert [value.encode("latin-1") for value in (exif[270], exif[315], exif[33432], lens)] == [text] * 4


def test_texts_of_type_utf8_keep_their_bytes_and_are_listed() -> None:
    values: dict[int | None, dict[int, bytes]] = {
        None: {270: "Frühjahr".encode()},
        EXIF: {0xA436: b"Ende"},
    }
    data, listed = result(source("jpeg", block(values, UTF8)), "png")
    assert "Frühjahr\x00".encode() in data
    assert b"Ende\x00" in data
    assert exif_changes(listed) == ["exif: text of type UTF-8 written as type ASCII, with the same bytes"]


def test_a_text_where_the_standard_wants_bytes_is_kept() -> None:
    values: dict[int | None, dict[int, bytes]] = {
        EXIF: {0x9286: b"ASCII\x00\x00\x00" + "Frühjahr".encode()}, GPS: {27: "Frühling".encode()},
    }  # fmt: skip
    data, listed = result(source("jpeg", block(values)), "tiff")
    assert b"ASCII\x00\x00\x00" + "Frühjahr".encode() in data
    assert "Frühling".encode() in data
    assert exif_changes(listed) == []


def test_a_master_read_in_strips_keeps_its_bytes(tmp_path: Path) -> None:
    values = everywhere("Bürkliplatz – Frühjahr".encode())
    path = tmp_path / "master.tif"
    path.write_bytes(source("tiff", block(values)))
    exif = Master(path, pixels=10**9).info.meta.exif
    assert exif is not None
    assert all(text + b"\x00" in exif for fields in values.values() for text in fields.values())


@pytest.mark.parametrize("order", ["II", "MM"])
@pytest.mark.parametrize("suffix", ["jpg", "tif", "png", "webp"])
def test_texts_of_utf16_follow_the_byte_order_of_the_block(suffix: str, order: str, tmp_path: Path) -> None:
    source = tmp_path / f"source.{suffix}"
    Image.fromarray(photo()).save(source)
    written = {"ExifByteOrder": order, "UserComment": "港町 1923", "GPSAreaInformation": "港町"}
    write_tags(source, written)
    for format_ in FORMATS:
        image = decoded(source.read_bytes())
        data = encode(np.dstack([photo()] * 3), image, None, OutputConfig(format=format_), PROVENANCE)
        result = tmp_path / f"result.{format_}"
        result.write_bytes(data)
        tags = tags_of(result)
        assert (tags["UserComment"], tags["GPSAreaInformation"]) == ("港町 1923", "港町"), format_
