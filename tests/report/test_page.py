"""The HTML page of a run: whatever keys and messages contain, they stay text."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import TemplateError
from lxml import html
from PIL import Image

from pipeline.ledger.schema import ledger_table
from pipeline.records import Status
from pipeline.report.html import render
from pipeline.report.page import report_html
from pipeline.report.sheet import Pair
from pipeline.report.tally import RunTally
from tests.report.test_report import a_summary, ledger_row

HOSTILE = (
    "<script>alert('&\"')</script>",
    "</style></table><img src=x onerror=alert(1)>.jpg",
    '" onmouseover="alert(1)',
    "' autofocus onfocus='alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)//.jpg",
    "]]>&lt;b&gt;&#60;i>",
)
SMALL = Image.new("RGB", (3, 2))


def page_about(name: str) -> str:
    """A page in which everything from outside is this name."""
    tally = RunTally()
    tally.add(ledger_table([ledger_row(name, Status.FAILED, failure_code="corrupt", message=name)]))
    summary = a_summary(input=name, output=name, run_id=name, failures=tally.failures, counts=tally.counts)
    return report_html(summary, [Pair(name, name, SMALL, name)], [f"images/{name}"])


def shape(page: str) -> list[tuple[str, tuple[str, ...]]]:
    """All elements with the names of their attributes."""
    return [(str(element.tag), tuple(sorted(element.attrib))) for element in html.fromstring(page).iter()]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_shown_and_change_nothing(name: str) -> None:
    page = page_about(name)
    assert shape(page) == shape(page_about("plain.jpg"))
    root = html.fromstring(page)
    assert root.findtext(".//code") == "corrupt"
    assert root.xpath("//li/code")[0].text == name
    assert root.xpath("//figcaption")[0].text == name
    assert root.xpath("//span[@class='missing']")[0].text == f"no picture: {name}"
    assert {image.get("alt") for image in root.iter("img")} == {f"{name}, in colour"}
    assert all(link.get("href").startswith("../../../images/") for link in root.iter("a"))


@pytest.mark.slow
@settings(max_examples=50)
@given(name=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40))
def test_any_name_is_text(name: str) -> None:
    assert shape(page_about(name)) == shape(page_about("plain.jpg"))


def test_it_loads_nothing_and_runs_nothing() -> None:
    page = page_about("a.jpg")
    assert "http" not in page
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in shape(page)}
    attributes = itertools.chain.from_iterable(names for _, names in shape(page))
    assert not any(name.startswith("on") for name in attributes)


def test_a_template_gets_what_it_asks_for_or_fails(tmp_path: Path) -> None:
    template = tmp_path / "page.j2"
    template.write_text("<p>{{ name }}</p>\n", encoding="utf-8")
    assert render(template, name="<b>") == "<p>&lt;b&gt;</p>\n"
    with pytest.raises(TemplateError, match="name"):
        render(template)
    with pytest.raises(TemplateError):
        render(tmp_path / "nowhere.j2")
