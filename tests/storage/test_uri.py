"""URIs, and the refusal of an output that is its own input."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.storage import open_store, refuse_overlap


@pytest.mark.parametrize(
    ("given", "uri"),
    [
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("S3://bucket/a/b/", "s3://bucket/a/b"),
        ("s3://bucket//a b#?", "s3://bucket/a b#?"),
        ("/data/in", "/data/in"),
        ("file:///data/in%20side", "/data/in side"),
    ],
)
def test_what_a_uri_names(given, uri, no_storage):
    assert open_store(given, no_storage).uri == uri


def test_a_relative_folder_is_fixed_when_it_is_opened(no_storage, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert open_store("in", no_storage).uri == str(tmp_path / "in")


@pytest.mark.parametrize(
    "given",
    [
        "",
        " ",
        "ftp://bucket/x",
        "s3:/bucket/x",
        "s3://",
        "s3:///x",
        "s3://b!/x",
        "s3://b1/../x",
        "file://host/x",
    ],
)
def test_places_that_are_none_are_refused_in_one_line(given, no_storage):
    with pytest.raises(ConfigError) as told:
        open_store(given, no_storage)
    assert repr(given) in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("source", "out"),
    [
        ("in", "in"),
        ("in", "in/out"),
        ("in/", "./in//out/"),
        ("in", "other/../in/out"),
        ("in", "link/out"),
        ("link", "in/out"),
        (".", "out"),
        ("out/images", "out"),
        ("out/images/deep", "out"),
        ("out/x/../runs", "out/"),
        ("s3://bucket/in", "s3://bucket/in"),
        ("s3://bucket/in/", "s3://bucket/in/out"),
        ("s3://bucket", "s3://bucket/out"),
        ("s3://bucket/a/in", "s3://bucket//a//in/out"),
        ("s3://bucket/out/ledger", "s3://bucket/out"),
    ],
)
def test_overlaps_are_refused_however_they_are_spelled(source, out, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("in", "other", "out/images"):
        Path(folder).mkdir(parents=True)
    Path("link").symlink_to("in")
    with pytest.raises(ConfigError, match=r"is (inside|among) the"):
        refuse_overlap(source, out)


@pytest.mark.parametrize(
    ("source", "out"),
    [
        ("in", "out"),
        ("in", "in-colour"),
        ("data/in", "data"),
        ("s3://bucket/in", "s3://bucket/in-colour"),
        ("s3://bucket/in", "s3://other/in"),
        ("s3://bucket/data/in", "s3://bucket/data"),
        ("s3://bucket/in", "in"),
    ],
)
def test_places_apart_are_accepted(source, out, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refuse_overlap(source, out)
