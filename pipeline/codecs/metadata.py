"""XMP: what every result says about how it was made (XMP part 1, ISO 16684-1; IPTC Photo Metadata 2023.1).

The result is a document that derives from the source: `xmpMM:DerivedFrom` names the source file and takes
over its identifiers, `xmpMM:History` goes on after the source's own with one event (XMP Media Management).
"""

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
_MM = "http://ns.adobe.com/xap/1.0/mm/"
_EVENT = "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"
_REFERENCE = "http://ns.adobe.com/xap/1.0/sType/ResourceRef#"
_OURS = {
    "rdf": _RDF,
    "x": "adobe:ns:meta/",
    "xmp": _XMP,
    "xmpMM": _MM,
    "stEvt": _EVENT,
    "stRef": _REFERENCE,
    "Iptc4xmpExt": _IPTC_EXT,
    "fiat": FIAT_NAMESPACE,
}
_HISTORY, _DERIVED_FROM = f"{{{_MM}}}History", f"{{{_MM}}}DerivedFrom"
_DOCUMENT, _INSTANCE, _ORIGINAL = (
    f"{{{_MM}}}{name}ID" for name in ("Document", "Instance", "OriginalDocument")
)
# What described the source's pixels and would be wrong of the result's.
_STALE = {f"{{{_TIFF}}}{name}" for name in ("Orientation", "ImageWidth", "ImageLength", "BitsPerSample")}
_STALE |= {f"{{{_EXIF}}}{name}" for name in ("PixelXDimension", "PixelYDimension", "ColorSpace")}
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_RESERVED_PREFIX = re.compile(r"ns\d+$")
# One JPEG segment; a longer packet would need extended XMP.
LARGEST_PACKET = 65_000


@dataclass(frozen=True)
class Provenance:
    """What made a result: `digital_source_type` is an IPTC NewsCode, such as algorithmicallyEnhanced.

    date: the UTC day on which the run began, YYYY-MM-DD. A day and not a second, because two attempts at an
    image have to come out with the same bytes; the ledger has the second.
    """

    digital_source_type: str
    method: str
    weights_digest: str
    software: str
    source_name: str
    source_sha256: str
    date: str | None = None


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
    events = rdf.findall(f"{{{_RDF}}}Description/{_HISTORY}/{{{_RDF}}}Seq/{{{_RDF}}}li")
    document, instance, original = (_take(rdf, name) for name in (_DOCUMENT, _INSTANCE, _ORIGINAL))
    if (first := original or document) is not None:
        ours[_ORIGINAL] = first
    for name in (*ours, *_STALE, _HISTORY, _DERIVED_FROM):
        _take(rdf, name)
    source = {"filePath": provenance.source_name, "documentID": document, "instanceID": instance}
    about = [found.get(f"{{{_RDF}}}about", "") for found in rdf.findall(f"{{{_RDF}}}Description")]
    made = ElementTree.SubElement(rdf, f"{{{_RDF}}}Description", {f"{{{_RDF}}}about": (about or [""])[0]})
    for name, value in ours.items():
        made.set(name, _clean(value))
    _structure(ElementTree.SubElement(made, _DERIVED_FROM), _REFERENCE, source)
    sequence = ElementTree.SubElement(ElementTree.SubElement(made, _HISTORY), f"{{{_RDF}}}Seq")
    sequence.extend(events)
    _structure(ElementTree.SubElement(sequence, f"{{{_RDF}}}li"), _EVENT, _event(provenance))
    for prefix, uri in _OURS.items():
        ElementTree.register_namespace(prefix, uri)
    body: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=False)
    return (
        b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n' + body + b'\n<?xpacket end="r"?>'
    )


def _event(provenance: Provenance) -> dict[str, str | None]:
    """What we did; the standard lets verbs in the past tense extend its list of actions."""
    made_with = f"method {provenance.method}, weights sha256:{provenance.weights_digest}"
    return {
        "action": "colorized",
        "softwareAgent": provenance.software,
        "parameters": f"{made_with}, source sha256:{provenance.source_sha256}",
        "when": provenance.date,
        "changed": "/",
    }


def _structure(element: ElementTree.Element, namespace: str, fields: dict[str, str | None]) -> None:
    """Fill the element with the fields that are not None."""
    element.set(f"{{{_RDF}}}parseType", "Resource")
    for name, value in fields.items():
        if value is not None:
            ElementTree.SubElement(element, f"{{{namespace}}}{name}").text = _clean(value)


def _take(rdf: ElementTree.Element, name: str) -> str | None:
    """Take a property out of the packet; its value where it is a simple one."""
    value = None
    for description in rdf.findall(f"{{{_RDF}}}Description"):
        value = description.attrib.pop(name, value)
        for element in description.findall(name):
            value = element.text or value
            description.remove(element)
    return value


def _clean(value: str) -> str:
    return _NOT_XML.sub("\ufffd", value)
