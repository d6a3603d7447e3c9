"""The source is only read: no spelling of an output leads into it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.storage import open_store, refuse_overlap
from pipeline.training.places import run_location

#: What a path may say at each step without going anywhere else.
_DETOUR = st.sampled_from(["", "/", "./", "other/../", "/./"])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """in/deep, out/images, other/, and the links alias -> in, whole -> the root."""
    root = tmp_path_factory.mktemp("places")
    for folder in ("in/deep/other", "in/other", "out/images/other", "out/other", "other"):
        (root / folder).mkdir(parents=True)
    (root / "alias").symlink_to("in")
    (root / "whole").symlink_to(".")
    return root


@st.composite
def spellings(draw: st.DrawFn, *places: str) -> tuple[str, ...]:
    """The places below a root that is put in later ("ROOT"), each in some other spelling."""
    spelled = []
    for place in places:
        parts = [part for part in place.split("/") if part]
        if parts and parts[0] == "in" and draw(st.booleans()):
            parts[0] = "alias"
        if draw(st.booleans()):
            parts.insert(0, "whole")
        text = "ROOT/" + "".join(draw(_DETOUR) + part + "/" for part in parts)
        end = draw(st.sampled_from(["", "/", "//", "/.", "/other/.."]))
        spelled.append(draw(st.sampled_from(["", "file", "quoted"])) + "|" + text.rstrip("/") + end)
    return tuple(spelled)


def uri(spelled: str, root: Path) -> str:
    how, _, text = spelled.partition("|")
    path = text.replace("ROOT", str(root))
    if how == "file":
        return "file://" + quote(path)
    if how == "quoted":  # every character may be percent-encoded
        return "FILE://" + "".join("/" if c == "/" else f"%{ord(c):02x}" for c in path)
    return path


_OVERLAPS = [("in", "in"), ("in", "in/deep"), ("in", "in/deep/missing"), ("", "out"), ("out/images", "out")]
_APART = [("in", "out"), ("in", "in-colour"), ("in/deep", "other"), ("other", ""), ("in/deep", "in")]


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spelled=st.sampled_from(_OVERLAPS).flatmap(lambda pair: spellings(*pair)))
@example(spelled=("|ROOT/in", "|//ROOT/in/missing"))
def test_no_spelling_of_a_local_output_leads_into_the_input(spelled, root):
    with pytest.raises(ConfigError, match=r"is (inside|among) the") as told:
        refuse_overlap(uri(spelled[0], root), uri(spelled[1], root))
    assert "\n" not in str(told.value)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spelled=st.sampled_from(_APART).flatmap(lambda pair: spellings(*pair)))
def test_places_apart_are_accepted_in_every_spelling(spelled, root):
    refuse_overlap(uri(spelled[0], root), uri(spelled[1], root))


_SLASHES = st.sampled_from(["/", "//", "///"])


@st.composite
def s3_spellings(draw: st.DrawFn, place: str) -> str:
    bucket, *prefix = place.split("/")
    bucket = draw(st.sampled_from([bucket, bucket.upper(), bucket.title()]))
    scheme = draw(st.sampled_from(["s3://", "S3://"]))
    return (
        scheme
        + bucket
        + "".join(draw(_SLASHES) + part for part in prefix)
        + draw(st.sampled_from(["", "/", "//"]))
    )


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(
        [
            ("bucket", "bucket"),
            ("bucket", "bucket/out"),
            ("bucket/in", "bucket/in"),
            ("bucket/in", "bucket/in/out"),
            ("bucket/out/images", "bucket/out"),
            ("bucket/out/derivatives/x", "bucket/out"),
            ("bucket/ledger", "bucket"),
        ]
    ).flatmap(lambda pair: st.tuples(s3_spellings(pair[0]), s3_spellings(pair[1])))
)
def test_no_spelling_of_an_s3_output_leads_into_the_input(pair):
    with pytest.raises(ConfigError, match=r"is (inside|among) the"):
        refuse_overlap(*pair)


@pytest.mark.parametrize(
    ("source", "out"),
    [
        ("s3://bucket/in", "s3://bucket/IN"),  # keys have letter case
        ("s3://bucket/in", "s3://bucket/in%2Fout"),  # and are taken literally
        ("s3://bucket/in", "s3://bucket/inner"),
        ("s3://bucket/in", "s3://bucket"),
    ],
)
def test_s3_places_apart_are_accepted(source, out):
    refuse_overlap(source, out)


@pytest.mark.parametrize("link", ["out/images", "out/ledger", "out/images/box/1", "out/derivatives"])
def test_a_link_in_the_output_that_leads_into_the_input_is_refused(link, tmp_path):
    (tmp_path / "in" / "box").mkdir(parents=True)
    (tmp_path / link).parent.mkdir(parents=True)
    (tmp_path / link).symlink_to(tmp_path / "in" / "box")
    with pytest.raises(ConfigError, match="is inside the input"):
        refuse_overlap(str(tmp_path / "in"), str(tmp_path / "out"))


def test_an_output_that_the_input_reaches_through_links_is_refused(tmp_path):
    for folder in ("in", "elsewhere", "out"):
        (tmp_path / folder).mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "again").symlink_to(tmp_path / "out")
    with pytest.raises(ConfigError, match="is inside the input"):
        refuse_overlap(str(tmp_path / "in"), str(tmp_path / "out"))


def test_links_in_the_output_to_other_disks_are_accepted(tmp_path):
    for folder in ("in", "disk", "out/images"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "out" / "images" / "box").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "round").symlink_to(tmp_path / "disk")
    refuse_overlap(str(tmp_path / "in"), str(tmp_path / "out"))


def open_output(place, config):
    open_store(place, config).check_writable()


def test_an_output_behind_a_circle_of_links_is_one_line_whatever_the_input_is(tmp_path, no_storage):
    (tmp_path / "circle").symlink_to("circle")
    for call in (partial(open_output, config=no_storage), partial(run_location, config=no_storage)):
        with pytest.raises(ConfigError, match="check its symbolic links"):
            call(str(tmp_path / "circle" / "out"))


@pytest.mark.parametrize("out", ["circle/out", "~nobody-of-this-name/out", "x" * 300])
def test_places_that_cannot_be_told_are_one_line(out, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "in").mkdir()
    with pytest.raises(ConfigError) as told:
        refuse_overlap("in", out)
    assert "\n" not in str(told.value)
