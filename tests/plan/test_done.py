"""The done-set: what the ledger says, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import StorageError
from pipeline.plan import DoneSet, hash_keys, read_done
from pipeline.records import Status
from pipeline.storage import open_store
from tests.plan.ledgers import put_part, row

versions = st.tuples(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
    st.text("0123456789abcdef-", max_size=8),
)


@given(st.lists(versions, unique=True, max_size=60), st.data())
def test_the_done_set_holds_its_members_and_no_others(listed, data):
    hashes = hash_keys([key for key, _ in listed], [etag for _, etag in listed])
    members = data.draw(st.lists(st.booleans(), min_size=len(listed), max_size=len(listed)))
    mask = np.array(members, bool)
    done = DoneSet(np.sort(hashes[mask]))
    assert (done.contains(hashes) == mask).all()


@given(st.lists(versions, unique=True, max_size=60))
def test_identities_are_stable_and_different(listed):
    hashes = hash_keys([key for key, _ in listed], [etag for _, etag in listed])
    assert hashes.dtype == np.int64
    assert len(set(hashes.tolist())) == len(listed)
    for (key, etag), single in zip(listed, hashes.tolist(), strict=True):
        assert hash_keys([key], [etag]).tolist() == [single]


def test_the_identity_never_changes_between_versions_of_this_software():
    # a change would make every finished archive look undone
    assert hash_keys(["a/b.jpg"], ["0cc175b9"]).tolist() == [-3249120130085067623]


@pytest.fixture
def out(tmp_path, no_storage):
    return open_store(str(tmp_path), no_storage)


def statuses(done, *keys):
    codes = done.statuses(hash_keys(keys, ["e"] * len(keys)))
    return [list(Status)[code] if code >= 0 else None for code in codes.tolist()]


def test_an_empty_ledger(out):
    done = read_done(out, "digest", retry_failed=False)
    assert statuses(done, "a", "b") == [None, None]
    assert statuses(done) == []


def test_only_parts_of_this_digest_count(out):
    put_part(out, "digest", "1", [row("a"), row("b", Status.SKIPPED_COLOR)])
    put_part(out, "digest", "2", [row("c", Status.FAILED)])
    put_part(out, "digest-of-another-model", "1", [row("d")])
    done = read_done(out, "digest", retry_failed=False)
    assert statuses(done, "a", "b", "c", "d") == [Status.COLORIZED, Status.SKIPPED_COLOR, Status.FAILED, None]
    assert done.attempts_of("c", "e") == 0
    assert statuses(done, "b") == [Status.SKIPPED_COLOR]


def test_a_changed_source_is_not_done(out):
    put_part(out, "digest", "1", [row("a", etag="old")])
    assert statuses(read_done(out, "digest", retry_failed=False), "a") == [None]


def test_failed_images_come_back_with_their_attempts_when_asked_for(out):
    put_part(
        out, "digest", "1", [row("a"), row("b", Status.FAILED, attempts=3), row("c", Status.SKIPPED_OTHER)]
    )
    done = read_done(out, "digest", retry_failed=True)
    assert statuses(done, "a", "b", "c") == [Status.COLORIZED, None, Status.SKIPPED_OTHER]
    assert (done.attempts_of("b", "e"), done.attempts_of("a", "e")) == (3, 0)


def test_of_several_rows_the_one_with_most_attempts_counts_then_the_latest(out):
    now = datetime(2026, 1, 1, tzinfo=UTC)
    later = now + timedelta(seconds=1)
    put_part(out, "digest", "1", [row("a", Status.COLORIZED, 2, now), row("b", Status.FAILED, 1, now)])
    put_part(out, "digest", "2", [row("a", Status.FAILED, 1, later), row("b", Status.COLORIZED, 1, later)])
    done = read_done(out, "digest", retry_failed=False)
    assert statuses(done, "a", "b") == [Status.COLORIZED, Status.COLORIZED]
    assert len(done.done.hashes) == 2
    assert read_done(out, "digest", retry_failed=True).attempts == {}


@pytest.mark.parametrize("data", [b"", b"PAR1 not parquet"])
def test_a_damaged_part_stops_the_plan_and_is_named(out, data):
    put_part(out, "digest", "1", [row("a")])
    out.put("ledger/digest/part-2.parquet", data)
    with pytest.raises(StorageError, match=r"part-2\.parquet.*remove it"):
        read_done(out, "digest", retry_failed=False)
