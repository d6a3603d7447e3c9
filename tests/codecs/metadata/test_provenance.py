"""What results say about how they were made, and what they keep from their sources: read by exiftool."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import ExifTags, Image

from pipeline.codecs.encode import encode
from pipeline.codecs.in_memory import Decoded
from pipeline.codecs.metadata.xmp import Provenance
from pipeline.config.output import OutputConfig
from tests.support.exiftool import tags_of
from tests.support.samples import colourful, decoded, encoded, photo

FORMATS = ["jpeg", "png", "webp", "tiff", "jp2"]
PROVENANCE = Provenance(
    digital_source_type="compositeWithTrainedAlgorithmicMedia",
    method="unet",
    weights_digest="ab" * 32,
    software="Fiat Color 0.1.0",
    source_name="pier.tif",
    source_sha256="cd" * 32,
    date="2026-11-24",
)
EVENT = {
    "Action": "colorized",
    "SoftwareAgent": "Fiat Color 0.1.0",
    "Parameters": f"method unet, weights sha256:{'ab' * 32}, source sha256:{'cd' * 32}",
    "When": "2026:11:24",
    "Changed": "/",
}
XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="uuid:7" xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"
 xmlns:stEvt="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmpMM:DocumentID="xmp.did:source" xmpMM:InstanceID="xmp.iid:source">
<dc:creator><rdf:Seq><rdf:li>A. Keeper</rdf:li></rdf:Seq></dc:creator>
<xmpMM:History><rdf:Seq>
<rdf:li stEvt:action="created" stEvt:softwareAgent="Scanner 3"/></rdf:Seq></xmpMM:History>
</rdf:Description></rdf:RDF></x:xmpmeta>"""


def exiftool(data: bytes, tmp_path: Any) -> dict[str, Any]:
    """Every tag of the file by `group:name`, structures as dictionaries; no warning may be among them."""
    file = tmp_path / "result"
    file.write_bytes(data)
    tags = tags_of(file, "-G1", "-struct")
    assert not [name for name in tags if name.endswith((":Warning", ":Error"))], tags
    return tags


def written(format: str, what: Decoded) -> bytes:
    return encode(colourful(what.height, what.width), what, None, OutputConfig(format=format), PROVENANCE)


@pytest.mark.parametrize("format", FORMATS)
def test_results_say_how_they_were_made(format: str, tmp_path: Any) -> None:
    tags = exiftool(written(format, decoded(encoded(photo(), "PNG"))), tmp_path)
    kind = f"http://cv.iptc.org/newscodes/digitalsourcetype/{PROVENANCE.digital_source_type}"
    assert tags["XMP-iptcExt:DigitalSourceType"] == kind
    assert tags["XMP-xmpMM:History"] == [EVENT]
    assert tags["XMP-xmpMM:DerivedFrom"] == {"FilePath": "pier.tif"}
    assert tags["XMP-xmp:CreatorTool"] == "Fiat Color 0.1.0"
    assert "XMP-xmpMM:DocumentID" not in tags


@pytest.mark.parametrize("format", FORMATS)
def test_the_history_and_identity_of_the_source_go_on(format: str, tmp_path: Any) -> None:
    tags = exiftool(written(format, decoded(encoded(photo(), "JPEG", xmp=XMP))), tmp_path)
    assert tags["XMP-xmpMM:History"] == [{"Action": "created", "SoftwareAgent": "Scanner 3"}, EVENT]
    assert tags["XMP-xmpMM:DerivedFrom"] == {
        "FilePath": "pier.tif",
        "DocumentID": "xmp.did:source",
        "InstanceID": "xmp.iid:source",
    }
    assert tags["XMP-xmpMM:OriginalDocumentID"] == "xmp.did:source"
    assert "XMP-xmpMM:InstanceID" not in tags
    assert tags["XMP-dc:Creator"] == ["A. Keeper"]
    assert tags["XMP-rdf:About"] == "uuid:7"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_no_resolution_is_made_up(format: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "the pier"
    assert decoded(encoded(photo(), format, exif=exif)).meta.dpi is None
