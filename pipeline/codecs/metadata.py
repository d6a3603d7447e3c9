"""XMP: what every result says about how it was made (XMP part 1, ISO 16684-1; IPTC Photo Metadata 2023.1)."""

from __future__ import annotations

import io
import re
import zlib
from dataclasses import dataclass
from xml.etree import ElementTree

_IPTC_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMP = "http://ns.adobe.com/xap/1.0/"
_IPTC_EXT = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_TIFF = "http://ns.adobe.com/tiff/1.0/"
_EXIF = "http://ns.adobe.com/exif/1.0/"
FIAT_NAMESPACE = "urn:fiat-color:provenance:1#"
_OURS = {"rdf": _RDF, "x": "adobe:ns:meta/", "xmp": _XMP, "Iptc4xmpExt": _IPTC_EXT, "fiat": FIAT_NAMESPACE}
# What described the source's pixels and would be wrong of the result's.
_STALE = {f"{{{_TIFF}}}{name}" for name in ("Orientation", "ImageWidth", "ImageLength", "BitsPerSample")}
_STALE |= {f"{{{_EXIF}}}{name}" for name in ("PixelXDimension", "PixelYDimension", "ColorSpace")}
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_RESERVED_PREFIX = re.compile(r"ns\d+$")
# One JPEG segment; a longer packet would need extended XMP.
LARGEST_PACKET = 65_000


@dataclass(frozen=True)
class Provenance:
    """What made a result: `digital_source_type` is an IPTC NewsCode, such as algorithmicallyEnhanced."""

    digital_source_type: str
    method: str
    weights_digest: str
    software: str
    source_name: str
    source_sha256: str


def xmp_packet(provenance: Provenance, source: bytes | None = None) -> bytes:
    """The XMP of a result: the source's own where it is sound, with our description added.

    A source packet that does not parse, declares a DTD (entities could grow without bound) or is too long is
    left out. The bytes depend on the arguments alone.
    """
    if source is not None and (root := _parse(source)) is not None:
        packet = _serialize(root, provenance)
        if len(packet) <= LARGEST_PACKET:
            return packet
    root = ElementTree.Element("{adobe:ns:meta/}xmpmeta")
    ElementTree.SubElement(root, f"{{{_RDF}}}RDF")
    return _serialize(root, provenance)


def _parse(source: bytes) -> ElementTree.Element | None:
    if len(source) > LARGEST_PACKET or b"<!" in source.replace(b"\x00", b"").replace(b"<!--", b""):
        return None
    try:
        text = source.strip(b"\x00 \r\n\t")
        for _, (prefix, uri) in ElementTree.iterparse(io.BytesIO(text), events=("start-ns",)):
            if not prefix or _RESERVED_PREFIX.match(prefix) or prefix in _OURS:
                prefix = (
                    f"q{zlib.crc32(uri.encode()):08x}"  # the registry is global: no packet may use another's
                )
            ElementTree.register_namespace(prefix, uri)
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, LookupError):
        return None
    return root if _rdf(root) is not None else None


def _rdf(root: ElementTree.Element) -> ElementTree.Element | None:
    return root if root.tag == f"{{{_RDF}}}RDF" else root.find(f"{{{_RDF}}}RDF")


def _serialize(root: ElementTree.Element, provenance: Provenance) -> bytes:
    """Add our description to the packet's RDF, in place of properties of the same name, and write it out."""
    rdf = _rdf(root)
    assert rdf is not None
    ours = {
        f"{{{_XMP}}}CreatorTool": provenance.software,
        f"{{{_IPTC_EXT}}}DigitalSourceType": _IPTC_SOURCE_TYPES + provenance.digital_source_type,
        f"{{{FIAT_NAMESPACE}}}Method": provenance.method,
        f"{{{FIAT_NAMESPACE}}}WeightsDigest": provenance.weights_digest,
        f"{{{FIAT_NAMESPACE}}}SourceName": provenance.source_name,
        f"{{{FIAT_NAMESPACE}}}SourceSHA256": provenance.source_sha256,
    }
    about = ""
    for description in rdf.findall(f"{{{_RDF}}}Description"):
        about = description.get(f"{{{_RDF}}}about", about)
        for name in (*ours, *_STALE):
            description.attrib.pop(name, None)
            for element in description.findall(name):
                description.remove(element)
    values = {name: _NOT_XML.sub("\ufffd", value) for name, value in ours.items()}
    ElementTree.SubElement(rdf, f"{{{_RDF}}}Description", {f"{{{_RDF}}}about": about, **values})
    for prefix, uri in _OURS.items():
        ElementTree.register_namespace(prefix, uri)
    body: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=False)
    return (
        b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n' + body + b'\n<?xpacket end="r"?>'
    )
