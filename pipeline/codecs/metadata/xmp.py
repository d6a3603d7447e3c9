"""The XMP of a result: the source's own, and what was done to it.

The result is a document that derives from the source: `xmpMM:DerivedFrom` names the source file and takes
over its identifiers, `xmpMM:History` continues the source's own with one event.

XMP part 1 (ISO 16684-1) for the data model, part 2 for xmpMM, stEvt and stRef, part 3 (1.1.3.1) for packets
that one JPEG segment cannot hold; IPTC Photo Metadata 2023.1 for DigitalSourceType.
"""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass, replace
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from pipeline.codecs.metadata.xmp_source import SPACES, forgetting_prefixes, qualified, rdf_of

IPTC_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
# What described the source's pixels and would be wrong of the result's. The resolution is in the file's own
# fields, in one unit; the digest is of IPTC-IIM data that another program may have written since.
# fmt: off
_STALE = [
    "tiff:Orientation", "tiff:ImageWidth", "tiff:ImageLength", "tiff:BitsPerSample", "tiff:Compression",
    "tiff:SamplesPerPixel", "tiff:PhotometricInterpretation", "tiff:PlanarConfiguration",
    "tiff:YCbCrSubSampling", "tiff:YCbCrPositioning", "tiff:XResolution", "tiff:YResolution",
    "tiff:ResolutionUnit", "tiff:NativeDigest", "exif:NativeDigest", "exif:PixelXDimension",
    "exif:PixelYDimension", "exif:ColorSpace", "photoshop:ColorMode", "photoshop:ICCProfile",
    "photoshop:LegacyIPTCDigest", "xmp:Thumbnails",
]
# fmt: on
_REPLACED = ["xmpMM:DocumentID", "xmpMM:InstanceID", "xmpMM:OriginalDocumentID", "xmpMM:DerivedFrom"]
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_STANDARD, _EXTENSION = b"http://ns.adobe.com/xap/1.0/\x00", b"http://ns.adobe.com/xmp/extension/\x00"
_LARGEST_CONTENT = 65_533
#: Most bytes of a packet in one JPEG segment (65,502 by part 3), with some room.
LARGEST_PACKET = 65_000
_TOO_LONG = "xmp: too long for the format, left out"


@dataclass(frozen=True)
class Provenance:
    """What made a result: `digital_source_type` is an IPTC NewsCode, such as algorithmicallyEnhanced.

    date: the UTC day on which the run began, YYYY-MM-DD. A day and not a second, because two attempts at an
    image have to come out with the same bytes; the ledger has the second.
    model, model_licence, model_sha256: of weights that others published, their name, licence and file.
    picture, picture_sha256: the picture of another tool whose chroma the result has, its name and its file.
    """

    digital_source_type: str
    method: str
    weights_digest: str
    software: str
    source_name: str
    source_sha256: str
    date: str | None = None
    model: str | None = None
    model_licence: str | None = None
    model_sha256: str | None = None
    picture: str | None = None
    picture_sha256: str | None = None

    @property
    def made_with(self) -> str:
        """Method and weights for a person."""
        own = f"method {self.method}, weights sha256:{self.weights_digest}"
        if self.picture is not None:
            return f"colours of another tool's picture {self.picture}, sha256:{self.picture_sha256}, {own}"
        return own if self.model is None else f"{own}, model {self.model}, licence {self.model_licence}"


@dataclass(frozen=True)
class Packet:
    """`main` with its xpacket wrapper; `extended` for JPEG, where it is needed; `changes` for the ledger."""

    main: bytes
    extended: bytes | None = None
    changes: tuple[str, ...] = ()


def xmp_packet(provenance: Provenance, *sources: bytes, most: int | None = None) -> Packet:
    """The packet of a result: the source's properties where they are sound, and ours.

    A source packet that does not parse, declares a DTD (entities could grow without bound), nests deeper
    than 64 elements, declares over 200 namespaces or has over 4 MiB is left out. The bytes depend on the
    arguments alone.

    Args:
        sources: the source's packet, and its extended one where it has that.
        most: bytes that the format's one segment holds; beyond them the source's part goes into `extended`.
    """
    with forgetting_prefixes():
        return _packet(provenance, sources, most)


def _packet(provenance: Provenance, sources: tuple[bytes, ...], most: int | None) -> Packet:
    rdf, changes = rdf_of(sources)
    ours = _ours(rdf, provenance, changes)
    carried = list(rdf)
    main = _wrapped([*carried, ours])
    if most is None or len(main) <= most:
        return Packet(main, None, tuple(changes))
    parted = _parted(carried, ours, most)
    if parted is not None:
        return replace(parted, changes=(*changes, *parted.changes))
    return Packet(_packet(provenance, (), None).main, None, (_TOO_LONG,))


def kept_packet(packet: bytes, most: int | None = None) -> Packet:
    """The packet of a result of ours for another file of the same colours, cut as `xmp_packet` cuts it.

    Args:
        packet: `main` of `xmp_packet`, without an extended part.
        most: as for `xmp_packet`.

    Raises:
        ValueError: it does not fit, and is none of ours.
    """
    if most is None or len(packet) <= most:
        return Packet(packet)
    with forgetting_prefixes():
        rdf, changes = rdf_of((packet,))
        descriptions = list(rdf)
        ours = next((one for one in descriptions if one.get(qualified("fiat:Method")) is not None), None)
        if ours is None:
            raise ValueError(f"its XMP is not ours{''.join(f' ({change})' for change in changes)}")
        descriptions.remove(ours)
        parted = _parted(descriptions, ours, most)
        return parted or Packet(_wrapped([_with_last_event(ours)]), None, (_TOO_LONG,))


def _parted(carried: list[Element], ours: Element, most: int) -> Packet | None:
    """Our description in the main packet, the source's in the extended one; None where ours is too long."""
    extended = _written(carried)
    ours.set(qualified("xmpNote:HasExtendedXMP"), hashlib.md5(extended).hexdigest().upper())
    main = _wrapped([ours])
    if len(main) > most:
        return None
    return Packet(main, extended, ("xmp: over 64 KB, continued as extended XMP",))


def _with_last_event(ours: Element) -> Element:
    """Our description without what came before our own event."""
    ours.attrib.pop(qualified("xmpNote:HasExtendedXMP"), None)
    for sequence in ours.iterfind(f"{qualified('xmpMM:History')}/{qualified('rdf:Seq')}"):
        for event in list(sequence)[:-1]:
            sequence.remove(event)
    return ours


def _ours(rdf: Element, provenance: Provenance, changes: list[str]) -> Element:
    """Our description; what it replaces and what is stale leaves `rdf`."""
    simple = {
        "Iptc4xmpExt:DigitalSourceType": IPTC_SOURCE_TYPES + provenance.digital_source_type,
        "fiat:Method": provenance.method,
        "fiat:WeightsDigest": provenance.weights_digest,
        "fiat:SourceName": provenance.source_name,
        "fiat:SourceSHA256": provenance.source_sha256,
    }
    of_model = {
        "fiat:Model": provenance.model,
        "fiat:ModelLicence": provenance.model_licence,
        "fiat:ModelSHA256": provenance.model_sha256,
        "fiat:Picture": provenance.picture,
        "fiat:PictureSHA256": provenance.picture_sha256,
    }
    for name in of_model:  # a source that another model coloured before keeps nothing of it
        _taken(rdf, name)
    simple |= {name: value for name, value in of_model.items() if value is not None}
    before = {name: _taken(rdf, name) for name in _REPLACED}
    stale = [name for name in _STALE if _taken(rdf, name) is not None]
    for name in (*simple, "xmpNote:HasExtendedXMP"):
        _taken(rdf, name)
    if stale:
        changes.append(f"xmp: {', '.join(stale)} left out, it described the source's pixels")
    if replaced := [name for name, value in before.items() if value is not None]:
        changes.append(f"xmp: {', '.join(replaced)} replaced by the derivation from them")
    document, instance, original = (_text(before[name]) for name in _REPLACED[:3])
    if first := original or document:
        simple["xmpMM:OriginalDocumentID"] = first
    if not _holds(rdf, "xmp:CreatorTool"):
        simple["xmp:CreatorTool"] = provenance.software  # the first known tool (part 2): a scanner's stays
    abouts = [value for block in rdf if (value := block.get(qualified("rdf:about")))]
    description = Element(qualified("rdf:Description"), {qualified("rdf:about"): abouts[0] if abouts else ""})
    for key, value in simple.items():
        description.set(qualified(key), _NOT_XML.sub("\ufffd", value))
    source = {"filePath": provenance.source_name, "documentID": document, "instanceID": instance}
    _resource(description, "xmpMM:DerivedFrom", "stRef", source)
    history = _history(_taken(rdf, "xmpMM:History"), changes)
    _resource(history, "rdf:li", "stEvt", _event(provenance))
    ElementTree.SubElement(description, qualified("xmpMM:History")).append(history)
    return description


def _event(provenance: Provenance) -> dict[str, str | None]:
    """What we did; the standard lets verbs in the past tense extend its list of actions."""
    # Here, for the decoder's child reads packets with this module, and pyarrow would double its memory.
    from pipeline.records import GRAY

    return {
        "action": "converted" if provenance.method == GRAY else "colorized",
        "softwareAgent": provenance.software,
        "parameters": f"{provenance.made_with}, source sha256:{provenance.source_sha256}",
        "when": provenance.date,
        "changed": "/",
    }


def _history(source: Element | str | None, changes: list[str]) -> Element:
    """The source's rdf:Seq of events, to be continued; an empty one without any."""
    if source is None:
        return Element(qualified("rdf:Seq"))
    sequence = source.find(qualified("rdf:Seq")) if isinstance(source, Element) else None
    if sequence is None:
        changes.append("xmp: xmpMM:History was no sequence, replaced")
        return Element(qualified("rdf:Seq"))
    return sequence


def _resource(parent: Element, name: str, space: str, fields: dict[str, str | None]) -> None:
    """A structure below `parent`, without the fields that are None."""
    element = ElementTree.SubElement(parent, qualified(name), {qualified("rdf:parseType"): "Resource"})
    for field, value in fields.items():
        if value is not None:
            child = ElementTree.SubElement(element, qualified(f"{space}:{field}"))
            child.text = _NOT_XML.sub("\ufffd", value)


def _holds(rdf: Element, name: str) -> bool:
    return any(block.get(qualified(name)) or block.find(qualified(name)) is not None for block in rdf)


def _taken(rdf: Element, name: str) -> Element | str | None:
    """Remove a property from all descriptions: its element, its text where it was an attribute, or None."""
    taken: Element | str | None = None
    for description in rdf.findall(qualified("rdf:Description")):
        taken = description.attrib.pop(qualified(name), taken)
        for element in description.findall(qualified(name)):
            description.remove(element)
            taken = element
    return taken


def _text(value: Element | str | None) -> str | None:
    return value.text if isinstance(value, Element) else value


def _written(descriptions: list[Element]) -> bytes:
    for prefix, uri in SPACES.items():
        ElementTree.register_namespace(prefix, uri)
    root = Element(qualified("x:xmpmeta"))
    ElementTree.SubElement(root, qualified("rdf:RDF")).extend(descriptions)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=False)
    return written


def _wrapped(descriptions: list[Element]) -> bytes:
    """With the xpacket wrapper of part 1, 7.3.2."""
    begin = b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    return begin + _written(descriptions) + b'\n<?xpacket end="r"?>'


def xmp_segments(main: bytes, extended: bytes | None = None) -> bytes:
    """APP1 segments of a JPEG (XMP part 3, 1.1.3). Raises ValueError where `main` is over 65,502 bytes."""
    if len(main) > _LARGEST_CONTENT - len(_STANDARD):
        raise ValueError("the XMP packet is too long for a JPEG")
    contents = [_STANDARD + main]
    if extended is not None:
        head = _EXTENSION + hashlib.md5(extended).hexdigest().upper().encode()
        for at in range(0, len(extended), LARGEST_PACKET):
            place = struct.pack(">LL", len(extended), at)
            contents.append(head + place + extended[at : at + LARGEST_PACKET])
    return b"".join(b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part for part in contents)
