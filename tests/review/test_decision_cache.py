"""The cache of decisions saves reads; the decisions themselves always take precedence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.config.storage import StorageConfig
from pipeline.errors import ObjectMissing, StorageError
from pipeline.ledger.keys import DECISIONS
from pipeline.review.decision_cache import CACHE, LEAST
from pipeline.review.decision_log import DecisionLog
from pipeline.review.decisions import Decision, compact_decisions, read_decisions, write_decision
from pipeline.storage import Store, open_store
from pipeline.storage.base import GetResult
from pipeline.storage.local import LocalStore

START = datetime(2026, 1, 1, tzinfo=UTC)


def decide(out: Store, number: int) -> Decision:
    when = START + timedelta(seconds=number)
    decision = Decision(key=f"{number}.tif", etag="e", verdict="accept", who="Kim", when=when)
    assert write_decision(out, decision)
    return decision


@pytest.fixture
def out(tmp_path: Path) -> Store:
    out = open_store(str(tmp_path), StorageConfig())
    for number in range(LEAST):
        decide(out, number)
    return out


def gets(out: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that are read from now on."""
    keys: list[str] = []
    real = LocalStore.get

    def get(self: LocalStore, key: str, **options: object) -> GetResult:
        keys.append(key)
        return real(self, key, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(LocalStore, "get", get)
    return keys


def test_what_is_cached_is_not_read_again_and_later_decisions_are(
    out: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_decisions(out)
    assert compact_decisions(out) == LEAST
    assert compact_decisions(out) == 0
    later = decide(out, LEAST)
    keys = gets(out, monkeypatch)
    assert read_decisions(out) == [*before, later]
    assert sorted(keys) == sorted([CACHE, later.object_key])
    assert DecisionLog(out).decisions() == [*before, later]


@pytest.mark.parametrize("cached", [False, True])
def test_an_empty_decision_is_named_whether_it_is_cached_or_not(out: Store, cached: bool) -> None:
    """A full disk leaves empty files behind."""
    empty = decide(out, LEAST).object_key
    out.put(empty, b"")
    if cached:
        compact_decisions(out)
    with pytest.raises(StorageError, match=f"{empty} is not a decision"):
        read_decisions(out)


def test_few_are_not_worth_a_cache(tmp_path: Path) -> None:
    out = open_store(str(tmp_path), StorageConfig())
    decide(out, 1)
    assert compact_decisions(out) == 1
    with pytest.raises(ObjectMissing):
        out.get(CACHE)


def test_a_decision_that_changed_or_went_is_not_taken_from_the_cache(out: Store) -> None:
    compact_decisions(out)
    changed, gone, *others = read_decisions(out)
    out.delete(gone.object_key)
    decide(out, LEAST + 1)
    out.put(changed.object_key, b"damaged")
    with pytest.raises(StorageError, match=f"{changed.id}.json is not a decision"):
        read_decisions(out)
    out.delete(changed.object_key)
    out.put(f"{DECISIONS}notes.txt", b"somebody's own")
    assert len(read_decisions(out)) == len(others) + 1


@pytest.mark.parametrize("data", [b"", b"PAR1 cut off", b"x" * 10_000])
def test_a_damaged_cache_costs_nothing_but_time(out: Store, data: bytes) -> None:
    before = read_decisions(out)
    out.put(CACHE, data)
    assert read_decisions(out) == before
    assert compact_decisions(out) == LEAST
    assert read_decisions(out) == before
