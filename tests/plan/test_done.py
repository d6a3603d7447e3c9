"""The done-set contains what the ledger says, and nothing else."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DamagedLedgerPart
from pipeline.ledger.schema import ledger_table
from pipeline.plan.done import done_images
from pipeline.plan.identities import IdentitySet, hash_keys
from pipeline.plan.ledger_rows import read_ledger
from pipeline.records import Status
from pipeline.storage import open_store
from tests.support.ledger_parts import put_part, row

versions = st.tuples(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
    st.text("0123456789abcdef-", max_size=8),
)


@given(st.lists(versions, unique=True, max_size=60), st.data())
def test_the_done_set_holds_its_members_and_no_others(listed, data):
    hashes = hash_keys([key for key, _ in listed], [etag for _, etag in listed])
    members = data.draw(st.lists(st.booleans(), min_size=len(listed), max_size=len(listed)))
    mask = np.array(members, bool)
    done = IdentitySet(np.sort(hashes[mask]))
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


def tried(done, *keys):
    return done.tried(hash_keys(keys, ["e"] * len(keys))).tolist()


def otherwise(done, wanted, *keys):
    """The keys whose result was made with another guide than `wanted` has for them."""
    hashes = hash_keys(keys, ["e"] * len(keys))
    indices = done.otherwise_guided(hashes, {keys.index(key): digest for key, digest in wanted.items()})
    return [keys[i] for i in indices.tolist()]


def test_an_empty_ledger(out):
    done = done_images(read_ledger(out, "in").of("digest"), retry_failed=False)
    assert statuses(done, "a", "b") == [None, None]
    assert statuses(done) == []


def test_only_parts_of_this_digest_count(out):
    put_part(out, "digest", "1", [row("a"), row("b", Status.SKIPPED_COLOR)])
    put_part(out, "digest", "2", [row("c", Status.FAILED)])
    put_part(out, "digest-of-another-model", "1", [row("d")])
    done = done_images(read_ledger(out, "in").of("digest"), retry_failed=False)
    assert statuses(done, "a", "b", "c", "d") == [Status.COLORIZED, Status.SKIPPED_COLOR, Status.FAILED, None]
    assert tried(done, "a", "c", "d") == [1, 1, 0]
    assert statuses(done, "b") == [Status.SKIPPED_COLOR]


def test_a_changed_source_is_not_done(out):
    put_part(out, "digest", "1", [row("a", etag="old")])
    assert statuses(done_images(read_ledger(out, "in").of("digest"), retry_failed=False), "a") == [None]


def test_failed_images_come_back_with_their_attempts_when_asked_for(out):
    put_part(
        out, "digest", "1", [row("a"), row("b", Status.FAILED, attempts=3), row("c", Status.SKIPPED_OTHER)]
    )
    done = done_images(read_ledger(out, "in").of("digest"), retry_failed=True)
    assert statuses(done, "a", "b", "c") == [Status.COLORIZED, None, Status.SKIPPED_OTHER]
    assert tried(done, "b", "a", "d") == [3, 1, 0]


def test_of_several_rows_the_one_with_most_attempts_counts_then_the_latest(out):
    now = datetime(2026, 1, 1, tzinfo=UTC)
    later = now + timedelta(seconds=1)
    put_part(out, "digest", "1", [row("a", Status.COLORIZED, 2, now), row("b", Status.FAILED, 1, now)])
    put_part(out, "digest", "2", [row("a", Status.FAILED, 1, later), row("b", Status.COLORIZED, 1, later)])
    done = done_images(read_ledger(out, "in").of("digest"), retry_failed=False)
    assert statuses(done, "a", "b") == [Status.COLORIZED, Status.COLORIZED]
    assert len(done.identities.hashes) == 2
    assert tried(done_images(read_ledger(out, "in").of("digest"), retry_failed=True), "a", "b") == [2, 1]


def test_the_guide_of_the_row_that_counts_must_be_the_one_wanted_now(out):
    put_part(out, "digest", "1", [row("a"), row("b", guide="g1"), row("c", guide="g1"), row("d")])
    put_part(out, "digest", "2", [row("b", attempts=2, guide="g2"), row("c", attempts=2)])
    done = done_images(read_ledger(out, "in").of("digest"), retry_failed=False)
    assert otherwise(done, {"b": "g2"}, *"abcd") == []
    assert otherwise(done, {"a": "g1", "b": "g1"}, *"abcd") == ["a", "b"]
    assert otherwise(done, {"c": "g1"}, *"abcd") == ["b", "c"]  # b's is gone, c's row without one counts
    assert otherwise(done, {}, *"acd") == []


def test_a_part_from_before_guides_is_read(out):
    buffer = io.BytesIO()
    pq.write_table(ledger_table([row("a")]).drop_columns(["guide_digest"]), buffer)
    out.put("ledger/digest/part-1.parquet", buffer.getvalue())
    done = done_images(read_ledger(out, "in").of("digest"), retry_failed=False)
    assert statuses(done, "a") == [Status.COLORIZED]
    assert otherwise(done, {}, "a") == []


@pytest.mark.parametrize("data", [b"", b"PAR1 not parquet"])
def test_a_damaged_part_stops_the_plan_and_is_named(out, data):
    put_part(out, "digest", "1", [row("a")])
    out.put("ledger/digest/part-2.parquet", data)
    with pytest.raises(DamagedLedgerPart, match=r"part-2\.parquet in .* is damaged .* remove it"):
        done_images(read_ledger(out, "in").of("digest"), retry_failed=False)
