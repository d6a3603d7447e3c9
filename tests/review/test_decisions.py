"""Decisions: kept once, in order, none lost; anything else is refused with one line."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError, StorageError
from pipeline.review import decisions
from pipeline.review.decision_log import DecisionLog
from pipeline.review.decisions import (
    Decision,
    current_decisions,
    read_decisions,
    read_file,
    refuse_unknown,
    write_decision,
)
from pipeline.storage import Store, open_store

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def decision(verdict: str = "accept", minute: int = 0, **others: Any) -> Decision:
    fields = {"key": "a.jpg", "etag": "e", "who": "Kim", "when": NOON + timedelta(minutes=minute)}
    return Decision(**{"verdict": verdict, **fields, **others})


@pytest.fixture
def out(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "out"), StorageConfig())


def test_what_is_kept_is_read_by_time(out: Store) -> None:
    late, early = decision("reject", 2), decision("accept", 1, key="사진/b.jpg")
    for one in (late, early):
        assert write_decision(out, one)
    assert read_decisions(out) == [early, late]
    assert [info.key for info in out.list("decisions/")] == [early.object_key, late.object_key]


def test_a_decision_that_is_there_is_kept_once_and_never_changed(out: Store) -> None:
    first = decision("accept")
    assert write_decision(out, first)
    assert not write_decision(out, first)
    with pytest.raises(StorageError, match="is not the decision to store"):
        write_decision(out, first.model_copy(update={"verdict": "reject"}))
    assert read_decisions(out) == [first]


def test_a_decision_written_before_corrections_were_known_is_the_same_decision(out: Store) -> None:
    first = decision("accept")
    older = first.model_dump(mode="json", exclude={"correction"})
    out.put(first.object_key, json.dumps(older).encode(), "application/json")
    assert not write_decision(out, first)
    assert read_decisions(out) == [first]


def test_of_many_who_decide_at_once_nobody_is_lost(out: Store) -> None:
    everyone = [decision("accept", who=f"person {i}") for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda one: write_decision(out, one), everyone))
    assert {one.who for one in read_decisions(out)} == {one.who for one in everyone}


def test_the_newest_stands_and_undo_brings_the_one_before_back(out: Store) -> None:
    accepted, rejected = decision("accept", 0), decision("reject", 1)
    back = decision("undo", 2, undoes=rejected.id)
    assert current_decisions([accepted, rejected]) == {"a.jpg": rejected}
    assert current_decisions([accepted, rejected, back]) == {"a.jpg": accepted}
    assert current_decisions([accepted, decision("undo", 1, undoes=accepted.id)]) == {}


def test_a_log_reads_each_decision_once(out: Store, tmp_path: Path) -> None:
    log = DecisionLog(out)
    first = decision("accept")
    write_decision(out, first)
    assert log.current_decisions() == {"a.jpg": first}
    (tmp_path / "out" / first.object_key).write_bytes(b"not read again")
    second = decision("gray", 1, key="b.jpg")
    write_decision(out, second)
    assert log.current_decisions() == {"a.jpg": first, "b.jpg": second}


@pytest.mark.parametrize(
    "others",
    [
        {"verdict": "delete"},
        {"verdict": "undo"},
        {"undoes": "0" * 32},
        {"id": "../../images/a"},
        {"id": "A" * 32},
        {"key": ""},
        {"key": "x" * 1025},
        {"output_sha256": "abc"},
        {"who": ""},
        {"who": "two\nlines"},
        {"when": "2026-01-01T12:00:00"},
        {"when": NOON.replace(year=1999)},
        {"when": NOON.replace(year=9000)},
        {"extra": 1},
    ],
    ids=lambda others: json.dumps(others, default=str)[:40],
)
def test_what_is_no_decision_is_refused(others: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        decision(**{"verdict": "accept", **others})


def test_a_damaged_decision_is_named(out: Store) -> None:
    one = decision()
    out.put(one.object_key, b"{}")
    with pytest.raises(StorageError, match=one.object_key):
        read_decisions(out)


def test_what_has_no_decision_s_name_is_left_alone(out: Store) -> None:
    out.put("decisions/README.txt", b"hello")
    assert read_decisions(out) == []


def test_a_file_of_the_page_is_taken(tmp_path: Path) -> None:
    one = decision()
    path = tmp_path / "decisions.json"
    path.write_text(json.dumps({"decisions": [one.model_dump(mode="json")]}))
    assert list(read_file(str(path))) == [one]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff",
        b"[]",
        b"{}",
        b'{"decisions": 1}',
        b'{"decisions": [{"key": "../../etc/passwd"}]}',
        b"[" * 100_000,
        b'{"decisions": [' + b"1," * 300_000 + b"1]}",
    ],
    ids=range(8),
)
def test_a_hostile_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "decisions.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_file(str(path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


def test_a_file_without_end_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "MOST_FILE_BYTES", 1000)
    with pytest.raises(ConfigError, match="more than any page saves"):
        read_file("/dev/zero")
    with pytest.raises(ConfigError, match="cannot read"):
        read_file(str(tmp_path / "missing.json"))


def test_decisions_about_another_output_are_refused() -> None:
    refuse_unknown([decision()], ["a.jpg"])
    with pytest.raises(ConfigError, match=r"b\.jpg"):
        refuse_unknown([decision(key="b.jpg")], ["a.jpg"])
