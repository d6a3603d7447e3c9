"""A whole plan: the listing minus the ledger, in shards."""

from __future__ import annotations

import os

import pytest

from pipeline.config.job import JobConfig, PlanConfig
from pipeline.errors import AlreadyExists, FailureCode
from pipeline.plan.plan import Plan, make_plan, write_plan
from pipeline.plan.shards import plan_table
from pipeline.records import PLAN_SCHEMA, Status
from pipeline.storage import open_store
from tests.support.ledger_parts import put_part, row


@pytest.fixture
def places(tmp_path, no_storage):
    return open_store(str(tmp_path / "in"), no_storage), open_store(str(tmp_path / "out"), no_storage)


def planned(places, **plan: object) -> Plan:
    return make_plan(*places, JobConfig(plan=PlanConfig(**plan)), "digest", workers=2)


def keys(plan: Plan) -> list[str]:
    return [item.key for shard in plan.shards for item in shard.items]


def finish(
    places, names: list[str], status: Status = Status.COLORIZED, attempts: int = 1, part: str = "1"
) -> None:
    """Put rows for these sources as they are now."""
    source, out = places
    etags = {info.key: info.etag for info in source.list()}
    put_part(out, "digest", part, [row(name, status, attempts, etag=etags[name]) for name in names])


def fill(places, *names: str) -> None:
    for number, name in enumerate(names):
        places[0].put(name, b"x" * (number + 1))


def test_a_first_plan_holds_everything_once(places):
    fill(places, *(f"{i:02d}.tif" for i in range(30)), "notes.txt")
    plan = planned(places)
    assert (plan.items_listed, plan.todo_items, plan.excluded, plan.done) == (31, 31, 0, {})
    assert plan.bytes_listed == plan.todo_bytes == sum(range(1, 32))
    assert keys(plan) == [*(f"{i:02d}.tif" for i in range(30)), "notes.txt"]
    assert [len(shard.items) for shard in plan.shards] == [4] * 7 + [3]
    assert plan.shards[0].items[0].output_key == "images/00.tif.jpg"
    assert planned(places) == plan


def test_what_the_ledger_has_is_counted_and_left_out(places):
    fill(places, "a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.txt")
    finish(places, ["a.jpg", "b.jpg"])
    finish(places, ["c.jpg"], Status.FAILED, part="2")
    finish(places, ["e.txt"], Status.SKIPPED_OTHER, part="3")
    plan = planned(places)
    assert keys(plan) == ["d.jpg"]
    assert plan.done == {Status.COLORIZED: 2, Status.SKIPPED_OTHER: 1, Status.FAILED: 1}
    again = planned(places, retry_failed=True)
    assert keys(again) == ["c.jpg", "d.jpg"]
    assert [item.attempts for shard in again.shards for item in shard.items] == [1, 0]
    assert again.done == {Status.COLORIZED: 2, Status.SKIPPED_OTHER: 1}


def test_what_was_archived_is_asked_for_again_without_a_setting(places):
    fill(places, "a.jpg", "b.jpg", "c.jpg")
    finish(places, ["a.jpg"], Status.ARCHIVED)
    finish(places, ["b.jpg"], Status.ARCHIVED, part="2")
    finish(places, ["b.jpg"], attempts=2, part="3")
    plan = planned(places)
    assert [(item.key, item.attempts) for shard in plan.shards for item in shard.items] == [
        ("a.jpg", 1),
        ("c.jpg", 0),
    ]
    assert plan.done == {Status.COLORIZED: 1}
    assert plan.archived_items == 0  # a folder archives nothing


def test_a_changed_source_is_work_again_and_a_removed_one_is_not_counted(places, tmp_path):
    fill(places, "a.jpg", "b.jpg", "c.jpg")
    finish(places, ["a.jpg", "b.jpg", "c.jpg"])
    os.utime(tmp_path / "in/b.jpg", (1, 1))
    places[0].delete("c.jpg")
    plan = planned(places)
    assert (keys(plan), plan.done) == (["b.jpg"], {Status.COLORIZED: 1})


def test_everything_done_makes_an_empty_plan(places):
    fill(places, "a.jpg")
    finish(places, ["a.jpg"])
    plan = planned(places)
    assert (plan.shards, plan.todo_items, plan.done) == ([], 0, {Status.COLORIZED: 1})
    assert plan_table(plan).schema.equals(PLAN_SCHEMA)
    assert plan_table(plan).num_rows == 0


def test_the_limit_takes_the_first_that_are_not_done(places):
    fill(places, "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    finish(places, ["a.jpg"])
    plan = planned(places, limit=2)
    assert (keys(plan), plan.items_listed, plan.todo_items) == (["b.jpg", "c.jpg"], 4, 2)


def test_patterns_leave_keys_out_altogether(places):
    fill(places, "a.jpg", "a.txt", "x/b.jpg", "x/skip/c.jpg")
    plan = planned(places, include=("*.jpg",), exclude=("x/skip/",))
    assert (keys(plan), plan.items_listed, plan.excluded) == (["a.jpg", "x/b.jpg"], 2, 2)


def test_colliding_outputs_and_bad_keys_are_items_that_have_failed_already(s3_moto, places):
    bucket = s3_moto.bucket()
    for key in ("a.tif", "a.tif.jpg", "b/", "b//c.jpg", "d.jpg", "d.jpg/e.jpg"):
        s3_moto.client.put_object(Bucket=bucket, Key=key, Body=b"" if key == "b/" else b"1")
    source = open_store(f"s3://{bucket}", s3_moto.storage_config)
    plan = make_plan(source, places[1], JobConfig(), "digest", workers=1)
    items = {item.key: item for shard in plan.shards for item in shard.items}
    failed = {key: item.failure_code for key, item in items.items() if item.failure_code}
    assert failed == {
        "a.tif.jpg": FailureCode.OUTPUT_COLLISION,
        "b//c.jpg": FailureCode.BAD_KEY,
        "d.jpg/e.jpg": FailureCode.OUTPUT_COLLISION,
    }
    assert all(items[key].output_key is None and items[key].message for key in failed)
    assert (len(items), items["b/"].bytes) == (6, 0)


def test_a_collision_is_found_against_what_is_done_and_what_the_limit_cuts_off(places):
    fill(places, "a.tif", "a.tif.jpg", "b.tif", "b.tif.jpg")
    finish(places, ["a.tif", "b.tif.jpg"])
    items = [item for shard in planned(places).shards for item in shard.items]
    assert [(item.key, item.failure_code) for item in items] == [
        ("a.tif.jpg", FailureCode.OUTPUT_COLLISION),
        ("b.tif", FailureCode.OUTPUT_COLLISION),
    ]


def test_a_written_plan_is_immutable(places, tmp_path):
    fill(places, "a.jpg")
    write_plan(places[1], "run", planned(places))
    assert (tmp_path / "out/runs/run/plan/shards.parquet").is_file()
    with pytest.raises(AlreadyExists):
        write_plan(places[1], "run", planned(places))


@pytest.mark.parametrize("kind", ["moto", "ceph"])
def test_a_ledger_on_s3_is_read_in_parallel_parts(kind, request, places):
    server = request.getfixturevalue(f"s3_{kind}")
    out = open_store(f"s3://{server.bucket()}/out", server.storage_config)
    fill(places, *(f"{i:02d}.jpg" for i in range(40)))
    for start in range(0, 36, 4):
        finish((places[0], out), [f"{i:02d}.jpg" for i in range(start, start + 4)], part=str(start))
    plan = make_plan(places[0], out, JobConfig(), "digest", workers=2)
    assert (keys(plan), plan.done) == ([f"{i:02d}.jpg" for i in range(36, 40)], {Status.COLORIZED: 36})
