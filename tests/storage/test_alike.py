"""Names that are the same to a file system."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from pipeline.config.storage import StorageConfig
from pipeline.storage import open_store
from pipeline.storage.alike import NameFolding, probe


def test_the_probe_agrees_with_the_file_system_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "tried").mkdir()
    (tmp_path / "tried" / "Café").touch()
    case = (tmp_path / "tried" / "CAFé").exists()
    form = (tmp_path / "tried" / unicodedata.normalize("NFD", "Café")).exists()
    (tmp_path / "out").mkdir()
    assert probe(tmp_path / "out") == probe(tmp_path / "out" / "not" / "there") == NameFolding(case, form)
    assert not list((tmp_path / "out").iterdir())
    assert open_store(str(tmp_path / "out"), StorageConfig()).comparable("É") == NameFolding(
        case, form
    ).comparable("É")


def test_where_nothing_can_be_written_no_names_are_alike() -> None:
    assert probe(Path("/proc/self")) == NameFolding()


@pytest.mark.parametrize(
    ("one", "other", "case", "form"),
    [
        ("Box/A.JPG", "box/a.jpg", True, False),
        ("caf\u00e9", "cafe\u0301", False, True),
        ("CAF\u00c9", "cafe\u0301", True, True),
        ("\u03a3", "\u03c2", True, False),  # the two small sigmas have one capital
    ],
)
def test_alike(one: str, other: str, case: bool, form: bool) -> None:
    for alike in (NameFolding(a, b) for a in (False, True) for b in (False, True)):
        equal = alike.comparable(one) == alike.comparable(other)
        assert equal == (alike.case >= case and alike.form >= form)


def test_letters_are_compared_one_by_one() -> None:
    assert NameFolding(True, True).comparable("STRASSE") != NameFolding(True, True).comparable("stra\u00dfe")
    assert NameFolding().comparable("caf\u00e9/A.JPG") == "caf\u00e9/A.JPG"
