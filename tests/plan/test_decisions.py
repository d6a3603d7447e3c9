"""Accepted results stay, even if a run would otherwise colour them again; `recolor` can override this."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.config.job import JobConfig, PlanConfig
from pipeline.errors import StorageError
from pipeline.plan.guide_types import Guidance, ItemGuide
from pipeline.plan.plan import Plan, make_plan
from pipeline.records import Status
from pipeline.review.decisions import Decision, write_decision
from pipeline.storage import Store, open_store
from tests.support.ledger_parts import put_part, row

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LOOKED_AT, ANOTHER = "a" * 64, "b" * 64


class Archive:
    """Two photographs that one run coloured, and people who decide."""

    def __init__(self, source: Store, out: Store) -> None:
        self.source, self.out, self.minute = source, out, 0
        for name in ("1.jpg", "2.jpg"):
            source.put(name, name.encode())
        self.ran("old", "1.jpg", "2.jpg")

    def etag(self, name: str) -> str:
        return next(info.etag for info in self.source.list() if info.key == name)

    def ran(self, digest: str, *names: str, sha256: str = LOOKED_AT, **columns: Any) -> None:
        self.minute += 1
        when = NOON + timedelta(minutes=self.minute)
        rows = [row(name, etag=self.etag(name), finished_at=when) for name in names]
        rows = [replace(one, output_sha256=sha256, **columns) for one in rows]
        put_part(self.out, digest, str(self.minute), rows)

    def decide(self, name: str, verdict: str, sha256: str | None = LOOKED_AT, **others: Any) -> Decision:
        self.minute += 1
        fields = {"key": name, "etag": self.etag(name), "output_sha256": sha256, "who": "Kim"}
        when = NOON + timedelta(minutes=self.minute)
        decision = Decision(**fields, verdict=verdict, when=when, **others)
        assert write_decision(self.out, decision)
        return decision

    def plan(
        self, digest: str = "other settings", recolor: Any = None, drop_guides: bool = False, **others: Any
    ) -> Plan:
        config = JobConfig(plan=PlanConfig(recolor=recolor, drop_guides=drop_guides))
        return make_plan(self.source, self.out, config, digest, workers=1, **others)


@pytest.fixture
def archive(tmp_path, no_storage) -> Archive:
    return Archive(*(open_store(str(tmp_path / name), no_storage) for name in ("in", "out")))


def todo(plan: Plan) -> list[str]:
    return [item.key for shard in plan.shards for item in shard.items]


@pytest.mark.parametrize("recolor", [None, "changed-model", "changed-settings"])
def test_what_is_accepted_stays(archive: Archive, recolor: str | None) -> None:
    assert todo(archive.plan(recolor=recolor)) == ["1.jpg", "2.jpg"]
    archive.decide("1.jpg", "accept")
    plan = archive.plan(recolor=recolor)
    assert (todo(plan), plan.accepted, plan.done) == (["2.jpg"], 1, {Status.COLORIZED: 1})


def test_recolor_accepted_does_it_again(archive: Archive) -> None:
    archive.decide("1.jpg", "accept")
    plan = archive.plan(recolor="accepted")
    assert (todo(plan), plan.accepted) == (["1.jpg", "2.jpg"], 0)


def test_what_the_run_has_done_itself_is_no_exception(archive: Archive) -> None:
    archive.decide("1.jpg", "accept")
    plan = archive.plan("old")
    assert (todo(plan), plan.accepted, plan.done) == ([], 0, {Status.COLORIZED: 2})


def test_a_later_verdict_stands_over_the_acceptance(archive: Archive) -> None:
    archive.decide("1.jpg", "accept")
    archive.decide("1.jpg", "gray")
    assert todo(archive.plan()) == ["1.jpg", "2.jpg"]


def test_what_is_rejected_stays_out_even_if_what_is_accepted_does_not(archive: Archive) -> None:
    rejected = archive.decide("1.jpg", "reject")
    for recolor in (None, "accepted"):
        plan = archive.plan(recolor=recolor)
        assert (todo(plan), plan.done, plan.accepted) == (["2.jpg"], {Status.REJECTED: 1}, 0)
    archive.decide("1.jpg", "undo", undoes=rejected.id)
    assert todo(archive.plan()) == ["1.jpg", "2.jpg"]


def test_an_acceptance_that_is_taken_back_accepts_nothing(archive: Archive) -> None:
    accepted = archive.decide("1.jpg", "accept")
    archive.decide("1.jpg", "undo", undoes=accepted.id)
    assert todo(archive.plan()) == ["1.jpg", "2.jpg"]


def test_another_version_of_the_source_is_not_what_was_accepted(archive: Archive) -> None:
    archive.decide("1.jpg", "accept")
    archive.source.put("1.jpg", b"scanned again")
    assert todo(archive.plan()) == ["1.jpg", "2.jpg"]


def test_another_result_is_not_what_was_accepted(archive: Archive) -> None:
    archive.decide("1.jpg", "accept")
    archive.ran("newer", "1.jpg", sha256=ANOTHER)
    assert todo(archive.plan()) == ["1.jpg", "2.jpg"]
    archive.decide("1.jpg", "accept", ANOTHER)
    assert todo(archive.plan()) == ["2.jpg"]


def test_an_acceptance_of_nothing_accepts_nothing(archive: Archive) -> None:
    archive.decide("1.jpg", "accept", None)
    archive.decide("2.jpg", "accept", ANOTHER)
    assert todo(archive.plan()) == ["1.jpg", "2.jpg"]


def test_a_later_failure_does_not_end_it(archive: Archive) -> None:
    archive.decide("1.jpg", "accept")
    archive.ran("newer", "1.jpg", status=Status.FAILED, sha256=ANOTHER)
    assert todo(archive.plan()) == ["2.jpg"]


class NoGuides:
    """A run whose guides are gone, or are others than those that the result was made with."""

    def __init__(self, guides: dict[str, ItemGuide]) -> None:
        self.guides = guides

    def watch(self, listed: Any) -> Any:
        return listed

    def resolve(self, kept: Any, corrections: Any) -> Guidance:
        return Guidance(self.guides)


@pytest.mark.parametrize("guides", [{}, {"1.jpg": ItemGuide("{}", "other")}], ids=["dropped", "changed"])
def test_a_guided_result_stays_when_its_guides_do_not(archive: Archive, guides: dict[str, ItemGuide]) -> None:
    archive.ran("guided", "1.jpg", "2.jpg", guide_digest="drawn")

    def wanted() -> list[str]:
        return todo(archive.plan("guided", guides=NoGuides(guides), drop_guides=True))

    assert wanted() == ["1.jpg", "2.jpg"]
    archive.decide("1.jpg", "accept")
    assert wanted() == ["2.jpg"]


def test_a_damaged_decision_stops_the_run(archive: Archive) -> None:
    decision = archive.decide("1.jpg", "accept")
    archive.out.put(decision.object_key, b"damaged")
    with pytest.raises(StorageError, match="is not a decision"):
        archive.plan()
