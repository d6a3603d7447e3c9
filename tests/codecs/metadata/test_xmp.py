"""Malicious XMP packets: each costs little, is reported, and does not affect the next image."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from pipeline.codecs.metadata.xmp import Provenance, xmp_packet

OURS = Provenance("algorithmicallyEnhanced", "unet", "digest", "software", "name", "0" * 64)
PACKET = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    "{}</rdf:RDF></x:xmpmeta>"
)


def declared(number: int, *, nested: bool) -> bytes:
    """A packet of so many namespaces, on one element or on as many."""
    spaces = [f'xmlns:n{i}="http://example.org/{i}" n{i}:a="1"' for i in range(number)]
    if nested:
        return PACKET.format("".join(f"<rdf:Description {space}/>" for space in spaces)).encode()
    return PACKET.format(f"<rdf:Description {' '.join(spaces)}/>").encode()


HARMFUL = {
    "namespaces": (declared(3000, nested=False), "declares over 200 namespaces"),
    "namespaces apart": (declared(3000, nested=True), "declares over 200 namespaces"),
    "depth": (PACKET.format("<a>" * 300 + "</a>" * 300).encode(), "nested too deep"),
    "entities": (b'<!DOCTYPE a [<!ENTITY b "c">]>' + PACKET.format("&b;").encode(), "declares a DTD"),
    "size": (PACKET.format(" " * 5 * 2**20).encode(), "over 4 MiB"),
    "cut": (declared(3, nested=True)[:-20], "did not parse"),
}


@pytest.mark.parametrize("kind", list(HARMFUL))
def test_a_harmful_packet_is_left_out_and_named(kind: str) -> None:
    source, reason = HARMFUL[kind]
    packet = xmp_packet(OURS, source, most=65_000)
    assert packet.changes == (f"xmp: {reason}, left out",)
    assert packet.main == xmp_packet(OURS, most=65_000).main


def test_what_one_image_declares_does_not_reach_the_next() -> None:
    theirs = PACKET.format('<rdf:Description xmlns:mine="http://example.org/" mine:a="1"/>').encode()
    other = PACKET.format('<rdf:Description xmlns:other="http://example.org/" other:a="1"/>').encode()
    undisturbed, before = xmp_packet(OURS, theirs).main, len(ElementTree._namespace_map)
    xmp_packet(OURS, other)
    xmp_packet(OURS, declared(150, nested=True))
    assert xmp_packet(OURS, theirs).main == undisturbed
    assert b'xmlns:mine="http://example.org/"' in undisturbed
    assert len(ElementTree._namespace_map) == before
