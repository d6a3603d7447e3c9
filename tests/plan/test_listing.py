"""What a run colours: everything or selected keys, without what patterns leave out."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config.job import PlanConfig
from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError
from pipeline.plan.listing import chosen_keys, list_objects
from pipeline.storage import open_store
from tests.support.job_runner import fill

NO = StorageConfig()


def keys(folder: Path, **plan: object) -> list[str]:
    listing = list_objects(open_store(str(folder), NO), PlanConfig.model_validate(plan), NO, None)
    return [info.key for info in listing.objects]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    names = ("a.tif", "a.scribbles.png", "ab.tif", "sub/a.tif", "sub/c", "z.txt")
    fill(str(tmp_path / "in"), dict.fromkeys(names, b"x"))
    return tmp_path / "in"


def test_chosen_keys_are_listed_in_their_order(folder: Path) -> None:
    assert keys(folder, keys=("sub/c", "a.tif", "nowhere.tif")) == ["a.tif", "sub/c"]
    assert keys(folder, keys=("a.tif", "sub/a.tif"), exclude=["sub/*"]) == ["a.tif"]


def test_few_keys_need_no_listing_of_all_beside_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(str(folder), NO)
    asked: list[str] = []
    whole = type(store).list

    def watched(self, prefix: str = ""):
        asked.append(prefix)
        return whole(self, prefix)

    monkeypatch.setattr(type(store), "list", watched)
    assert [i.key for i in list_objects(store, PlanConfig(keys=("sub/a.tif",)), NO, None).objects] == [
        "sub/a.tif"
    ]
    assert asked == ["sub/a."]
    many = (*(f"{number}.tif" for number in range(200)), "ab.tif")
    asked.clear()
    assert [i.key for i in list_objects(store, PlanConfig(keys=many), NO, None).objects] == ["ab.tif"]
    assert asked == [""]


def test_a_file_has_a_key_a_line(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    file.write_bytes("\ufeffa.tif\r\n\n sp ace.tif\nä/b.tif".encode())
    assert chosen_keys(str(file), NO) == {"a.tif", " sp ace.tif", "ä/b.tif"}
    assert chosen_keys(None, NO) is None


@pytest.mark.parametrize(
    ("data", "words"), [(None, "cannot read the keys"), (b"\n\n", "holds no keys"), (b"\xff", "not UTF-8")]
)
def test_a_file_that_has_none_is_refused(tmp_path: Path, data: bytes | None, words: str) -> None:
    file = tmp_path / "keys.txt"
    if data is not None:
        file.write_bytes(data)
    with pytest.raises(ConfigError, match=words):
        chosen_keys(str(file), NO)
