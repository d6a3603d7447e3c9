"""Results of other models: kept or coloured again, and never confused with those of other settings."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pipeline.config.job import JobConfig, job_digest
from pipeline.config.loading import parse
from pipeline.errors import ConfigError
from pipeline.ledger.schema import LedgerRow
from pipeline.plan.plan import Plan, make_plan
from pipeline.records import Status
from pipeline.storage import open_store
from tests.support import ledger_parts

A, B, C = (f"{letter}" * 64 for letter in "abc")
NAMES = ("1.jpg", "2.jpg", "sub/3.jpg")


def config(recolor: str | None, *settings: str) -> JobConfig:
    return parse(JobConfig, {"plan": {"recolor": recolor}, "model": {"method": "unet"}}, list(settings))


def digest(weights: str, method: str = "unet", *settings: str) -> str:
    return job_digest(config(None, f"model.method={method}", *settings), weights)


class Archive:
    """Three photographs, and the ledger rows of runs over them; a day passes with every part."""

    def __init__(self, source, out) -> None:
        self.source, self.out, self.day = source, out, 0
        for name in NAMES:
            source.put(name, name.encode())

    def row(self, name: str, weights: str, method: str, status: Status, attempts: int) -> LedgerRow:
        etag = next(info.etag for info in self.source.list() if info.key == name)
        when = datetime(2026, 1, self.day, tzinfo=UTC)
        row = ledger_parts.row(name, status, attempts, when, etag)
        return replace(row, method=method, weights_digest=weights)

    def ran(
        self,
        weights: str,
        *names: str,
        method: str = "unet",
        status: Status = Status.COLORIZED,
        attempts: int = 1,
        settings: tuple[str, ...] = (),
        guide: str | None = None,
    ) -> None:
        self.day += 1
        rows = [self.row(name, weights, method, status, attempts) for name in names]
        rows = [replace(row, guide_digest=guide) for row in rows]
        ledger_parts.put_part(self.out, digest(weights, method, *settings), str(self.day), rows)

    def plan(self, weights: str, recolor: str | None, *settings: str) -> Plan:
        wanted = config(recolor, *settings)
        return make_plan(self.source, self.out, wanted, job_digest(wanted, weights), workers=1)


@pytest.fixture
def archive(tmp_path, no_storage) -> Archive:
    return Archive(*(open_store(str(tmp_path / name), no_storage) for name in ("in", "out")))


def todo(plan: Plan) -> list[str]:
    return [item.key for shard in plan.shards for item in shard.items]


def test_what_another_model_coloured_stays_or_is_work(archive: Archive) -> None:
    archive.ran(A, "1.jpg", "2.jpg")
    kept = archive.plan(B, "changed-settings")
    assert todo(kept) == ["sub/3.jpg"]
    assert (kept.done, kept.others) == ({Status.COLORIZED: 2}, 2)
    again = archive.plan(B, "changed-model")
    assert todo(again) == [*NAMES]
    assert (again.done, again.others) == ({}, 2)
    chosen = archive.plan(B, "changed-model", "plan.include=['1*']")
    assert (todo(chosen), chosen.others, chosen.excluded) == (["1.jpg"], 1, 2)
    assert archive.plan(B, "changed-model", "plan.limit=1").others == 1
    assert todo(archive.plan(B, None)) == [*NAMES]  # as the library's default


def test_a_model_of_another_method_is_another_model(archive: Archive) -> None:
    archive.ran(A, *NAMES, method="iizuka")
    assert archive.plan(B, "changed-settings").others == 3


def test_other_settings_make_new_work_either_way(archive: Archive) -> None:
    archive.ran(A, *NAMES, settings=("output.format=png",))
    for recolor in ("changed-settings", "changed-model"):
        plan = archive.plan(B, recolor)
        assert (todo(plan), plan.others) == ([*NAMES], 0)
    assert archive.plan(B, "changed-settings", "output.format=png").done == {Status.COLORIZED: 3}


def test_a_model_that_comes_back_does_again_what_another_has_overwritten(archive: Archive) -> None:
    archive.ran(A, *NAMES)
    archive.ran(B, "2.jpg")
    assert archive.plan(A, "changed-settings").done == {Status.COLORIZED: 3}
    back = archive.plan(A, "changed-model")
    assert (todo(back), back.others) == (["2.jpg"], 1)
    assert back.shards[0].items[0].attempts == 1  # or the shard's ledger part would be there already
    archive.ran(A, "2.jpg", attempts=2)
    done = archive.plan(A, "changed-model")
    assert (todo(done), done.others) == ([], 0)


def test_failures_of_another_model_are_tried_and_take_no_result_away(archive: Archive) -> None:
    archive.ran(A, "1.jpg", "2.jpg")
    archive.ran(B, "1.jpg", "sub/3.jpg", status=Status.FAILED)
    assert todo(archive.plan(C, "changed-settings")) == ["sub/3.jpg"]
    # a failure of the present model is reported as before, and the image is not silently kept as done
    own = archive.plan(B, "changed-settings")
    assert (todo(own), own.done, own.others) == ([], {Status.COLORIZED: 1, Status.FAILED: 2}, 1)
    assert archive.plan(B, "changed-model").done == {Status.FAILED: 2}
    assert todo(archive.plan(B, "changed-settings", "plan.retry_failed=true")) == ["1.jpg", "sub/3.jpg"]


def test_what_another_model_skipped_is_skipped(archive: Archive) -> None:
    archive.ran(A, "1.jpg", status=Status.SKIPPED_COLOR)
    assert archive.plan(B, "changed-settings").done == {Status.SKIPPED_COLOR: 1}
    assert archive.plan(B, "changed-model").others == 0


def test_a_guide_that_is_gone_makes_work_of_another_models_image_too(archive: Archive) -> None:
    archive.ran(A, "1.jpg")
    archive.ran(A, "2.jpg", guide="g")
    with pytest.raises(ConfigError, match=r"would now be coloured without them: '2\.jpg'; .*--drop-guides"):
        archive.plan(B, "changed-settings")
    plan = archive.plan(B, "changed-settings", "plan.drop_guides=true")
    assert (todo(plan), plan.others) == (["2.jpg", "sub/3.jpg"], 1)


def test_a_changed_source_is_new_work(archive: Archive) -> None:
    archive.ran(A, *NAMES)
    archive.source.put("1.jpg", b"scanned again")
    assert todo(archive.plan(B, "changed-settings")) == ["1.jpg"]


def test_nothing_is_kept_of_what_was_rejected_since(archive: Archive) -> None:
    archive.ran(A, *NAMES)
    archive.ran(A, "2.jpg", status=Status.REJECTED, attempts=2)
    kept = archive.plan(B, "changed-settings")
    assert (todo(kept), kept.others) == (["2.jpg"], 2)
    assert todo(archive.plan(A, "changed-settings")) == ["2.jpg"]
