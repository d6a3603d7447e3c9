"""People's corrections are guides for every later run, with priority over all other guides."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.config.job import GuidesConfig, JobConfig, ModelConfig, PlanConfig
from pipeline.errors import ConfigError
from pipeline.guides.check import Guides
from pipeline.plan.plan import Plan, make_plan
from pipeline.review.decisions import Decision, write_decision
from tests.guides import test_check
from tests.guides.test_check import guides_of, methods, todo
from tests.support.job_runner import encoded, photograph
from tests.support.ledger_parts import put_part, row

STROKE = {"color": "#c81e1e", "radius": 0.05, "path": [[0.2, 0.5], [0.8, 0.5]]}
START = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Archive(test_check.Archive):
    """Photographs, what runs made of them, and people who decide."""

    minutes = 0

    def decide(self, key: str, verdict: str = "correct", etag: str | None = None, **fields: Any) -> Decision:
        self.minutes += 1
        etag = etag or next(info.etag for info in self.source.list() if info.key == key)
        when = START + timedelta(minutes=self.minutes)
        decision = Decision(key=key, etag=etag, verdict=verdict, who="Kim", when=when, **fields)
        assert write_decision(self.out, decision)
        return decision

    def correct(self, key: str, etag: str | None = None, **fields: Any) -> Decision:
        return self.decide(key, etag=etag, correction=fields)

    def undo(self, decision: Decision) -> None:
        self.decide(decision.key, "undo", undoes=decision.id)

    def plan(
        self, file: str | None = None, method: str = "unet", digest: str = "digest", **plan: Any
    ) -> Plan:
        model, guides = ModelConfig(method=method), GuidesConfig(file=file)
        config = JobConfig(guides=guides, storage=self.storage, model=model, plan=PlanConfig(**plan))
        taken = methods(method)
        given = Guides(
            self.source, config, replace(taken, takes={**taken.takes, "gray": frozenset()}), self.out
        )
        return make_plan(self.source, self.out, config, digest, workers=1, guides=given)

    def has_result(self, key: str) -> None:
        self.out.put(f"images/{key}.jpg", encoded(photograph(3).convert("RGB")))
        etag = next(info.etag for info in self.source.list() if info.key == key)
        one = replace(row(key, etag=etag), output_key=f"images/{key}.jpg", output_sha256="a" * 64)
        put_part(self.out, "digest", key.partition(".")[0], [one])


@pytest.fixture
def archive(tmp_path, no_storage) -> Archive:
    archive = Archive(str(tmp_path), no_storage)
    archive.photographs("a.tif", "b.tif", "c.tif")
    return archive


def rounds(archive: Archive) -> Callable[..., list[str]]:
    """Plan, carry out, and what was to do."""

    def once(file: str | None = None, **plan: Any) -> list[str]:
        output = archive.plan(file, **plan)
        archive.finish(output)
        return todo(output)

    return once


def test_an_image_is_done_again_when_its_correction_comes_changes_or_is_taken_back(archive: Archive) -> None:
    ran = rounds(archive)
    assert ran() == ["a.tif", "b.tif", "c.tif"]
    archive.correct("a.tif", strokes=[STROKE])
    assert (ran(), ran()) == (["a.tif"], [])
    stronger = archive.correct("a.tif", strokes=[STROKE], chroma=1.5)
    assert (ran(), ran()) == (["a.tif"], [])
    archive.undo(stronger)
    first = archive.plan()
    assert guides_of(first)["a.tif"].chroma is None
    assert (ran(), ran()) == (["a.tif"], [])
    archive.undo(archive.correct("b.tif", chroma=0.5))
    assert ran() == []


def test_undoing_the_only_correction_brings_the_automatic_colours_back_without_a_flag(
    archive: Archive,
) -> None:
    ran = rounds(archive)
    corrected, gray = archive.correct("a.tif", strokes=[STROKE]), archive.decide("b.tif", "gray")
    ran()
    archive.undo(corrected)
    archive.undo(gray)
    assert (ran(), ran()) == (["a.tif", "b.tif"], [])


def test_a_correction_of_nothing_is_no_dropped_guide(archive: Archive) -> None:
    ran = rounds(archive)
    archive.correct("a.tif", strokes=[STROKE])
    ran()
    archive.correct("a.tif", chroma=1)
    assert ran() == ["a.tif"]


@pytest.mark.parametrize("verdict", ["accept", "reject"])
def test_a_later_verdict_takes_no_correction_away(archive: Archive, verdict: str) -> None:
    archive.correct("a.tif", strokes=[STROKE])
    archive.decide("a.tif", verdict)
    assert "a.tif" in guides_of(archive.plan())


def test_without_the_decisions_a_run_stops_before_it_undoes_them(archive: Archive) -> None:
    ran = rounds(archive)
    decisions = [archive.correct(key, strokes=[STROKE]) for key in ("a.tif", "b.tif")]
    ran()
    for decision in decisions:
        archive.out.delete(decision.object_key)
    for digest in ("digest", "of other weights"):
        with pytest.raises(
            ConfigError, match=r"^2 images .*without them: 'a\.tif', 'b\.tif'; .*--drop-guides"
        ):
            archive.plan(digest=digest)
    assert archive.plan(keys=("c.tif",)).todo_items == 0
    assert todo(archive.plan(drop_guides=True)) == ["a.tif", "b.tif"]


def test_a_correction_goes_kind_by_kind_before_file_and_sidecars(archive: Archive) -> None:
    archive.guides("style.jpg", encoded(photograph(2)))
    rows = [
        {"key": "a.tif", "points": [[3, 4, "#ff0000"]], "style": "style.jpg"},
        {"key": "b.tif", "style": "style.jpg"},
        {"key": "c.tif", "points": [[3, 4, "#ff0000"]]},
    ]
    file = archive.guides("g.jsonl", "\n".join(json.dumps(one) for one in rows))
    archive.correct("a.tif", strokes=[STROKE], chroma=0.5)
    archive.correct("b.tif", method="unet")
    archive.decide("c.tif", "gray")
    guides = guides_of(archive.plan(file))
    assert guides["a.tif"].kinds == ("points", "strokes", "style", "chroma")
    assert (guides["a.tif"].method, guides["a.tif"].side) == ("iizuka", 512)
    assert "b.tif" not in guides
    assert (guides["c.tif"].method, guides["c.tif"].kinds) == ("gray", ())


def test_a_reference_is_the_result_of_another_image(archive: Archive) -> None:
    archive.has_result("b.tif")
    archive.correct("a.tif", reference="b.tif")
    guide = guides_of(archive.plan())["a.tif"]
    assert guide.reference is not None
    assert (guide.reference.key, guide.reference.folder) == ("images/b.tif.jpg", archive.out.uri)
    assert guide.method == "reference"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"reference": "c.tif"}, "its reference 'c.tif' has no result"),
        ({"reference": "../../etc/passwd"}, "'../../etc/passwd' has no result"),
        ({"reference": "a.tif"}, "itself takes its colours from this image"),
        ({"method": "no-such"}, "unknown method 'no-such'"),
        ({"method": "iizuka", "reference": "b.tif"}, "takes no reference"),
        ({"method": "scribble"}, "needs scribbles"),
    ],
)
def test_a_correction_that_cannot_be_is_a_warning_and_the_other_guides_count(
    archive: Archive, fields: dict[str, str], said: str
) -> None:
    for key in ("a.tif", "b.tif"):
        archive.has_result(key)
    archive.correct("a.tif", **fields)
    file = archive.guides("g.jsonl", json.dumps({"key": "a.tif", "style": "s.jpg"}))
    archive.guides("s.jpg", encoded(photograph(2)))
    plan = archive.plan(file)
    assert guides_of(plan)["a.tif"].kinds == ("style",)
    (warning,) = plan.warnings
    assert warning.startswith("the correction of 'a.tif' by Kim does not count: ")
    assert said in warning


def test_references_in_a_circle_do_not_count(archive: Archive) -> None:
    for key, reference in (("a.tif", "b.tif"), ("b.tif", "c.tif"), ("c.tif", "a.tif")):
        archive.has_result(key)
        archive.correct(key, reference=reference)
    plan = archive.plan()
    assert guides_of(plan) == {}
    assert len(plan.warnings) == 3


def test_a_correction_of_another_version_of_the_source_is_a_warning(archive: Archive) -> None:
    archive.correct("a.tif", etag="before", strokes=[STROKE])
    archive.correct("no-longer-there.tif", etag="x", strokes=[STROKE])
    plan = archive.plan()
    assert guides_of(plan) == {}
    (warning,) = plan.warnings
    assert "1 correction of another version of the source, such as 'a.tif' by Kim" in warning


def test_chosen_keys_need_no_other_rows_of_the_guides_file(archive: Archive) -> None:
    rows = [{"key": key, "points": [[3, 4, "#ff0000"]]} for key in ("a.tif", "b.tif")]
    file = archive.guides("g.jsonl", "\n".join(json.dumps(one) for one in rows))
    assert todo(archive.plan(file, keys=("b.tif",))) == ["b.tif"]
    gone = archive.guides("h.jsonl", json.dumps({"key": "d.tif", "points": [[3, 4, "#ff0000"]]}))
    with pytest.raises(ConfigError, match=r"the key 'd\.tif' is not in"):
        archive.plan(gone, keys=("d.tif",))
