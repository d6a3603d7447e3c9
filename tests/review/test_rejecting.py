"""Rejections are applied: files are deleted, rows say so, and every reader of the ledger agrees."""

import hashlib
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.job import JobConfig
from pipeline.errors import RunError
from pipeline.export.csv_table import write_csv
from pipeline.export.objects import find_objects
from pipeline.ledger.keys import LEASE
from pipeline.ledger.stream import newest_images, open_ledger
from pipeline.plan.plan import Plan, make_plan
from pipeline.records import Status
from pipeline.review.cards import read_cards
from pipeline.review.decisions import Decision, current_decisions, read_decisions, write_decision
from pipeline.review.rejecting import reject
from pipeline.storage import Store
from pipeline.storage.lease import Lease, hold_lease
from pipeline.storage.local import LocalStore
from pipeline.verify.expected import read_expected
from pipeline.verify.prune import superseded_files
from tests.support.gallery_samples import NOON, coloured, etag_of, stores
from tests.support.leases import ELSEWHERE, hold
from tests.support.ledger_parts import put_part


class Archive:
    """Two coloured photographs, one of them with a second file and in a second format."""

    def __init__(self, folder: Path) -> None:
        self.source, self.out = stores(folder)
        first = coloured(self.source, self.out, "a.jpg")
        first.derivative_key, first.derivative_sha256 = self.put("derivatives/a.jpg")
        put_part(self.out, "digest", "1", [first, coloured(self.source, self.out, "b.jpg", 1)])
        other = replace(first, job_digest="png", derivative_key=None, derivative_sha256=None)
        other.output_key, other.output_sha256 = self.put("images/a.jpg.png")
        put_part(self.out, "png", "1", [other])
        self.first = first

    def put(self, key: str) -> tuple[str, str]:
        self.out.put(key, key.encode())
        return key, hashlib.sha256(key.encode()).hexdigest()

    def decide(self, key: str, verdict: str, **others: Any) -> Decision:
        etag = etag_of(self.source, key)
        when = datetime.now(UTC)
        decision = Decision(key=key, etag=etag, verdict=verdict, who="Kim", when=when, **others)
        assert write_decision(self.out, decision)
        return decision

    def apply(self) -> int:
        with hold_lease(self.out, LEASE) as lease:
            return reject(
                self.out, current_decisions(read_decisions(self.out)), "20260101T000000Z-0000-review", lease
            )

    def files(self) -> set[str]:
        folders = ("images/", "derivatives/")
        return {info.key for folder in folders for info in self.out.list(folder)}

    def all_objects(self) -> set[tuple[str, str]]:
        """Keys and ETags, but for the lease."""
        return {(info.key, info.etag) for info in self.out.list() if not info.key.startswith(LEASE)}

    def plan(self, digest: str = "digest") -> Plan:
        return make_plan(self.source, self.out, JobConfig(), digest, workers=1)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


def expected(out: Store) -> set[str]:
    return set(read_expected(out).outputs["key"].to_pylist())


def exported(out: Store) -> set[str]:
    objects = find_objects(open_ledger(out))
    assert objects.findings.num_rows == 0
    assert objects.unexpected == 0
    return set(objects.present["key"].to_pylist())


def todo(plan: Plan) -> list[str]:
    return [item.key for shard in plan.shards for item in shard.items]


def test_every_reader_agrees_that_the_files_are_gone(archive: Archive) -> None:
    before = {"images/a.jpg", "derivatives/a.jpg", "images/b.jpg"}
    assert expected(archive.out) == exported(archive.out) == before
    assert archive.files() == before | {"images/a.jpg.png"}
    archive.decide("a.jpg", "reject")
    assert archive.apply() == 1
    assert archive.files() == expected(archive.out) == exported(archive.out) == {"images/b.jpg"}
    sources = read_expected(archive.out).sources["key"].to_pylist()
    assert sources == ["a.jpg", "b.jpg"], "the sources are verified as before"
    parts, file = open_ledger(archive.out), io.BytesIO()
    write_csv(parts, newest_images(parts), file, lambda count: None)
    (line,) = [line for line in file.getvalue().decode().splitlines() if line.startswith("a.jpg,")]
    assert "rejected" in line.split(",")
    assert "rejected by Kim" in line
    card = {card["key"]: card for card in read_cards(archive.out).to_pylist()}["a.jpg"]
    assert (card["status"], card["output_key"]) == ("rejected", None)


def test_a_second_time_there_is_nothing_to_do(archive: Archive) -> None:
    archive.decide("a.jpg", "reject")
    archive.apply()
    before = archive.all_objects()
    assert archive.apply() == 0
    assert archive.all_objects() == before


def test_files_that_an_interruption_left_go_the_next_time(archive: Archive) -> None:
    archive.decide("a.jpg", "reject")
    archive.apply()
    archive.put("images/a.jpg")
    assert archive.apply() == 0
    assert archive.files() == {"images/b.jpg"}


def test_a_name_that_another_source_has_taken_since_is_never_removed(archive: Archive) -> None:
    """a.jpg was rejected and scanned again as a.png; with output.suffix=replace its result has the name."""
    archive.decide("a.jpg", "reject")
    archive.apply()
    archive.put("images/a.jpg")
    again = replace(archive.first, key="a.png", finished_at=datetime.now(UTC), derivative_key=None)
    again.derivative_sha256, again.output_sha256 = None, hashlib.sha256(b"images/a.jpg").hexdigest()
    put_part(archive.out, "digest", "2", [again])
    assert archive.apply() == 0
    assert archive.files() == expected(archive.out) == {"images/a.jpg", "images/b.jpg"}


def test_who_has_lost_the_lease_removes_nothing_more(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This process was silent for minutes; another one took over, and may write at these names."""
    archive.decide("a.jpg", "reject")
    monkeypatch.setattr("pipeline.storage.lease.BEAT_SECONDS", -1.0)
    monkeypatch.setattr(Lease, "renew_until_done", lambda lease: None)
    really = LocalStore.delete

    def delete(store: LocalStore, key: str) -> None:
        really(store, key)
        if key.startswith("images/"):
            hold(archive.out, ELSEWHERE, number=9, folder=LEASE)

    monkeypatch.setattr(LocalStore, "delete", delete)
    with pytest.raises(RunError, match="another process has taken over"):
        archive.apply()
    assert len(archive.files()) == 3


@pytest.mark.parametrize("verdict", ["accept", "gray"])
def test_other_verdicts_remove_nothing(archive: Archive, verdict: str) -> None:
    before = archive.files()
    archive.decide("a.jpg", verdict)
    assert archive.apply() == 0
    assert archive.files() == before


def test_another_version_of_the_source_was_not_rejected(archive: Archive) -> None:
    archive.decide("a.jpg", "reject")
    archive.source.put("a.jpg", b"scanned again")
    assert todo(archive.plan()) == ["a.jpg"]
    etag, later = etag_of(archive.source, "a.jpg"), NOON + timedelta(days=9)
    put_part(archive.out, "digest", "2", [replace(archive.first, etag=etag, finished_at=later)])
    before = archive.files()
    assert archive.apply() == 0
    assert archive.files() == before
    assert todo(archive.plan()) == []


@pytest.mark.parametrize("digest", ["digest", "png", "settings that nobody used"])
def test_a_rejected_image_stays_out_of_every_run(archive: Archive, digest: str) -> None:
    archive.decide("a.jpg", "reject")
    for applied in (False, True):
        if applied:
            archive.apply()
        plan = archive.plan(digest)
        assert "a.jpg" not in todo(plan)
        assert plan.done[Status.REJECTED] == 1


def test_a_rejection_that_is_taken_back_is_work_again(archive: Archive) -> None:
    rejected = archive.decide("a.jpg", "reject")
    archive.apply()
    archive.decide("a.jpg", "undo", undoes=rejected.id)
    for digest in ("digest", "png"):
        plan = archive.plan(digest)
        assert "a.jpg" in todo(plan)
    (item,) = [item for shard in archive.plan().shards for item in shard.items]
    assert item.attempts == 2, "the shard's part of the ledger is another one than before"
    again = replace(archive.first, attempts=3, finished_at=datetime.now(UTC))
    archive.put("images/a.jpg")
    archive.put("derivatives/a.jpg")
    put_part(archive.out, "digest", "3", [again])
    assert expected(archive.out) == archive.files() == {"images/a.jpg", "derivatives/a.jpg", "images/b.jpg"}
    assert todo(archive.plan()) == []


@pytest.mark.parametrize("clock", [timedelta(days=-400), timedelta(days=400)])
def test_a_clock_of_the_reviewer_that_differs_changes_nothing(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, clock: timedelta
) -> None:
    """Runs have one clock, whoever rejects another: what is coloured again stands, and prune leaves it."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return NOON + clock

    monkeypatch.setattr("pipeline.review.rejecting.datetime", Clock)
    rejected = archive.decide("a.jpg", "reject")
    assert archive.apply() == 1
    assert archive.files() == expected(archive.out) == exported(archive.out) == {"images/b.jpg"}
    archive.decide("a.jpg", "undo", undoes=rejected.id)
    archive.put("images/a.jpg")
    sha256 = hashlib.sha256(b"images/a.jpg").hexdigest()
    again = replace(archive.first, attempts=3, finished_at=NOON + timedelta(days=2), output_sha256=sha256)
    put_part(archive.out, "digest", "3", [replace(again, derivative_key=None, derivative_sha256=None)])
    assert exported(archive.out) == {"images/a.jpg", "images/b.jpg"}
    assert superseded_files(archive.out).num_rows == 0


def test_what_was_removed_cannot_be_accepted(archive: Archive) -> None:
    archive.decide("a.jpg", "reject")
    archive.apply()
    archive.decide("a.jpg", "accept", output_sha256=archive.first.output_sha256)
    assert "a.jpg" in todo(archive.plan())
