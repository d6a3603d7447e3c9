"""Read the XMP packets of a source within limits, and report invalid ones."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

FIAT_NAMESPACE = "urn:fiat-color:provenance:1#"
SPACES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "x": "adobe:ns:meta/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpMM": "http://ns.adobe.com/xap/1.0/mm/",
    "xmpNote": "http://ns.adobe.com/xmp/note/",
    "stEvt": "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#",
    "stRef": "http://ns.adobe.com/xap/1.0/sType/ResourceRef#",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "fiat": FIAT_NAMESPACE,
}
_RESERVED_PREFIX = re.compile(r"ns\d+$")
#: Most bytes of a source's packet that is read: real ones with thumbnails and histories stay far below.
LARGEST_SOURCE = 4 * 2**20
_DEEPEST = 64  # the writer of ElementTree is recursive
#: Real packets declare fewer than 40. ElementTree looks at all that it knows for each one that it learns.
_MOST_NAMESPACES = 200
#: ElementTree has one registry of prefixes for all threads.
_REGISTRY = Lock()


@contextmanager
def forgetting_prefixes() -> Iterator[None]:
    """Undo the namespace registrations of an image: they must not affect the next, nor grow without limit."""
    registry: dict[str, str] = ElementTree._namespace_map  # type: ignore[attr-defined]  # no public way
    with _REGISTRY:
        before = dict(registry)
        try:
            yield
        finally:
            registry.clear()
            registry.update(before)


def qualified(name: str) -> str:
    """`prefix:name` as ElementTree writes it."""
    prefix, _, local = name.partition(":")
    return f"{{{SPACES[prefix]}}}{local}"


def rdf_of(sources: tuple[bytes, ...]) -> tuple[Element, list[str]]:
    """One rdf:RDF of all sound packets, and what was wrong with the others."""
    rdf, changes = Element(qualified("rdf:RDF")), []
    for source in sources:
        try:
            rdf.extend(list(_parsed(source)))
        except (ElementTree.ParseError, ValueError, LookupError) as error:
            reason = str(error) if type(error) is ValueError else "did not parse"
            changes.append(f"xmp: {reason}, left out")
    return rdf, changes


def _parsed(source: bytes) -> Element:
    """The packet's rdf:RDF. Raises ParseError, ValueError or LookupError where it is not sound."""
    if len(source) > LARGEST_SOURCE:
        raise ValueError("over 4 MiB")
    if b"<!" in source.replace(b"\x00", b"").replace(b"<!--", b""):
        raise ValueError("declares a DTD")
    depth, text, namespaces = 0, source.strip(b"\x00 \r\n\t"), set[str]()
    for event, item in ElementTree.iterparse(io.BytesIO(text), events=("start-ns", "start", "end")):
        depth += {"start": 1, "end": -1}.get(event, 0)
        if depth > _DEEPEST:
            raise ValueError("nested too deep")
        if event == "start-ns":
            prefix, uri = item
            namespaces.add(uri)
            if len(namespaces) > _MOST_NAMESPACES:
                raise ValueError(f"declares over {_MOST_NAMESPACES} namespaces")
            if not prefix or _RESERVED_PREFIX.match(prefix) or prefix in SPACES:
                prefix = f"q{zlib.crc32(uri.encode()):08x}"  # the registry is global: none may use another's
            ElementTree.register_namespace(prefix, uri)
    root = ElementTree.fromstring(text)
    rdf = root if root.tag == qualified("rdf:RDF") else root.find(qualified("rdf:RDF"))
    if rdf is None:
        raise ValueError("has no rdf:RDF")
    return rdf
