"""A pattern or key without a match gives a warning with the nearest key, or an error in strict mode."""

from __future__ import annotations

import pytest

from pipeline.codecs.sniff import claims_image
from pipeline.config.job import JobConfig, PlanConfig
from pipeline.config.loading import load
from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError
from pipeline.plan.key_selection import IMAGE_SUFFIXES, Choice
from pipeline.plan.listing import list_objects
from pipeline.storage import ObjectInfo, open_store
from tests.support.job_runner import fill

KEYS = ("1920s/a.JPG", "1920s/b.tif", "notes.txt")


def warned(chosen: frozenset[str] | None = None, keys: tuple[str, ...] = KEYS, **plan: object) -> list[str]:
    choice = Choice(PlanConfig.model_validate(plan), chosen)
    list(choice.keep(ObjectInfo(key, "etag", 1) for key in keys))
    return list(choice.warnings())


def test_what_chooses_something_is_no_warning() -> None:
    assert warned() == []
    assert warned(include=["*.tif", "*.txt"], exclude=["*.txt"]) == []
    assert warned(frozenset(KEYS[:1])) == []
    assert warned(include=["*.png"], keys=()) == []


@pytest.mark.parametrize(
    ("name", "pattern", "nearest"),
    [
        ("include", "*.jpg", "1920s/a.JPG"),
        ("include", "1920/*.tif", "1920s/b.tif"),
        ("exclude", "note.txt", "notes.txt"),
    ],
)
def test_a_pattern_that_matches_nothing_names_the_nearest_key(name: str, pattern: str, nearest: str) -> None:
    first = warned(**{name: [pattern, "*"]})[0]
    assert first == (
        f"plan.{name} has the pattern {pattern!r}, which matches none of 3 files; the nearest is {nearest!r}"
    )


def test_patterns_that_leave_out_every_image_are_a_warning() -> None:
    leave = "the patterns leave out every image of the input (2)"
    assert warned(include=["*.txt"]) == [leave]
    assert warned(exclude=["1920s/"]) == [leave]
    assert warned(exclude=["*.tif"]) == []


def test_keys_that_are_not_there_are_counted() -> None:
    (line,) = warned(frozenset({"1920s/a.JPG", "1920s/a.jpg", "zzz"}))
    assert line == (
        "2 keys of 3 to colour are not in the input, such as '1920s/a.jpg'; the nearest is '1920s/a.JPG'"
    )


def test_strict_makes_an_error_of_it(tmp_path, no_storage: StorageConfig) -> None:
    fill(str(tmp_path), dict.fromkeys(KEYS, b"x"))
    store, plan = open_store(str(tmp_path), no_storage), PlanConfig(include=("*.png",))
    assert len(list_objects(store, plan, no_storage, None).warnings) == 2
    strict = plan.model_copy(update={"strict": True})
    with pytest.raises(ConfigError, match=r"pattern '\*\.png'.*plan\.strict"):
        list_objects(store, strict, no_storage, None)


@pytest.mark.parametrize("text", ["*.jpg", "'*.jpg'", "[ab]*.jpg", "*.[jJ]*", "1920s/*"])
def test_a_pattern_by_itself_is_a_list_of_one(text: str) -> None:
    assert load(JobConfig, None, [f"plan.include={text}"]).plan.include == (text.strip("'"),)


def test_a_list_that_yaml_does_not_read_is_no_pattern() -> None:
    with pytest.raises(ConfigError, match="quote the patterns in a list"):
        load(JobConfig, None, ["plan.include=[*.jpg, *.png]"])
    assert load(JobConfig, None, ['plan.exclude=["*.jpg", "b"]']).plan.exclude == ("*.jpg", "b")


def test_the_suffixes_are_those_of_images() -> None:
    assert all(claims_image(f"a{suffix}", None) for suffix in IMAGE_SUFFIXES)
