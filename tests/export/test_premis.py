"""The ledger as PREMIS.

`premis-3-0.xsd` is the schema of the Library of Congress (January 18, 2016; editor Ray Denenberg), unchanged;
as a work of the United States government it is not under copyright there (17 U.S.C. 105).
"""

from __future__ import annotations

import hashlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from pipeline.export import xml
from pipeline.export.objects import find_objects
from pipeline.export.premis import write_premis
from pipeline.ledger.stream import open_ledger
from pipeline.storage import Store, open_store
from tests.support.delivered import deliver
from tests.support.paths import SUPPORT

NAMES = {"premis": "http://www.loc.gov/premis/v3"}
SCHEMA = etree.XMLSchema(etree.parse(SUPPORT / "premis-3-0.xsd"))


def exported(out: Store, prefix: str = "") -> etree._Element:
    """The document, validated."""
    file, parts = io.BytesIO(), open_ledger(out)
    write_premis(parts, find_objects(parts).present, file, lambda count: None, prefix)
    root = etree.fromstring(file.getvalue())
    SCHEMA.assertValid(root)
    return root


def texts(element: etree._Element, path: str) -> list[str]:
    steps = "/".join(f"premis:{step}" for step in path.split("/"))
    return [node.text for node in element.iterfind(f".//{steps}", NAMES)]


@pytest.fixture
def out(tmp_path, no_storage) -> Store:
    return open_store(str(tmp_path), no_storage)


def test_each_object_says_what_it_is_and_what_it_was_made_from(out):
    delivered = deliver(out)
    root = exported(out, "objects/")
    objects = {texts(one, "originalName")[0]: one for one in root.iterfind("premis:object", NAMES)}
    assert objects.keys() == {f"objects/{key}" for key in delivered}
    for name, one in objects.items():
        data = delivered[name.removeprefix("objects/")]
        assert texts(one, "messageDigest") == [hashlib.sha256(data).hexdigest()]
        assert texts(one, "size") == [str(len(data))]
        key = name.removeprefix("objects/").partition("/")[2]
        source = hashlib.sha256(b"source of " + key.encode()).hexdigest()
        assert texts(one, "relatedObjectIdentifierValue") == [key, source]
    master = objects["objects/images/c.tif"]
    assert (texts(master, "formatName"), texts(master, "formatRegistryKey")) == (["image/tiff"], [])
    assert texts(objects["objects/images/b.jpg"], "formatRegistryKey") == ["fmt/43"]


def test_each_colouring_is_one_event_of_the_software_that_ran(out):
    deliver(out)
    root = exported(out)
    events = {texts(one, "eventIdentifierValue")[0]: one for one in root.iterfind("premis:event", NAMES)}
    output = {texts(one, "originalName")[0]: one for one in root.iterfind("premis:object", NAMES)}
    assert len(events) == 3
    master = events[texts(output["images/c.tif"], "linkingEventIdentifierValue")[0]]
    both = [texts(output[key], "objectIdentifierValue")[0] for key in ("derivatives/c.tif", "images/c.tif")]
    assert sorted(texts(master, "linkingObjectIdentifierValue")) == sorted(both)
    assert texts(master, "eventOutcomeDetailNote") == [
        "largest change of lightness (L*, of 100): 0.250; metadata: icc: none"
    ]
    (detail,) = texts(master, "eventDetail")
    assert all(word in detail for word in ("unet", "a" * 64, "Fiat Color 0.2.0", "runs/run-2/config.yaml"))
    assert texts(root, "agent/agentVersion") == ["0.1.0", "0.2.0"]
    early = events[texts(output["images/box 1/a.jpg"], "linkingEventIdentifierValue")[0]]
    assert texts(early, "linkingAgentIdentifierValue") == ["Fiat Color 0.1.0"]


def test_a_run_that_left_no_summary_has_no_version_rather_than_a_wrong_one(out):
    deliver(out)
    out.delete("runs/run-1/summary.json")
    out.put("runs/run-2/summary.json", b"{")
    root = exported(out)
    assert texts(root, "agent/agentIdentifier/agentIdentifierValue") == ["Fiat Color"]
    assert texts(root, "agent/agentVersion") == []


@pytest.mark.slow
@given(
    value=st.text(
        st.one_of(st.sampled_from("<>&\"']\x00\x0b\r\ufffe\U0001f3de"), st.characters(codec="utf-8"))
    )
)
def test_any_text_is_well_formed_and_what_xml_can_hold_reads_back(value):
    document = xml.element("x", xml.text("y", value), attributes=' xmlns:premis="p"')
    (child,) = etree.fromstring(document)
    if all(char.isprintable() for char in value):
        assert (child.text or "") == value
