"""A plan is the same, shard by shard and byte by byte, as one made of plain Python objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.config.job import JobConfig, PlanConfig
from pipeline.config.output import DerivativeConfig, OutputConfig
from pipeline.errors import FailureCode
from pipeline.plan import objects, refusals, shards
from pipeline.plan.guide_types import Guidance, ItemGuide
from pipeline.plan.objects import Objects
from pipeline.plan.outputs import output_key
from pipeline.plan.plan import make_plan, write_plan
from pipeline.plan.refusals import find_refusals
from pipeline.plan.shards import plan_rows, plan_table
from pipeline.records import Item, Status
from pipeline.storage import ObjectInfo, open_store
from tests.support.ledger_parts import put_part, row
from tests.support.plain_plan import plain_cut, plain_plan_bytes, plain_refusals

#: Few characters, so that suffixes, equal outputs and files that are folders come about often.
parts = st.sampled_from(
    ["a", "b", "a.jpg", "A.jpg", "a.tif", "a.tif.jpg", "page-0001.jpg", "pages.tif", "..", ""]
)
keys_ = st.sets(st.lists(parts, min_size=1, max_size=3).map("/".join).filter(bool), max_size=16).map(sorted)
outputs_ = st.builds(
    OutputConfig,
    format=st.sampled_from(["jpeg", "tiff"]),
    suffix=st.sampled_from(["append", "replace", "_color"]),
    derivative=st.sampled_from(["none", "jpeg"]).map(lambda f: DerivativeConfig(format=f)),
)


@dataclass(frozen=True)
class Listed:
    """A source that is nothing but its listing."""

    objects: list[ObjectInfo]
    uri: str = "s3://listed"

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return (info for info in self.objects if info.key.startswith(prefix))


@dataclass(frozen=True)
class Guided:
    guides: dict[str, ItemGuide]

    def watch(self, listed):
        return iter(listed)

    def resolve(self, kept, corrections):
        return Guidance({info.key: self.guides[info.key] for info in kept if info.key in self.guides})


@pytest.fixture(autouse=True, params=[3, 2**16], ids=["small portions", "large portions"])
def portions(request, monkeypatch):
    """Portions so small that every plan crosses their bounds, and those of the job."""
    for module, name in (
        (objects, "ROWS"),
        (refusals, "_PORTION"),
        (shards, "_SIZES"),
        (shards, "_ROW_GROUP"),
    ):
        monkeypatch.setattr(module, name, request.param)
    return request.param


cheap = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@cheap
@given(keys_, outputs_, st.data())
def test_the_same_sources_are_refused_for_the_same_reasons(keys, output, data):
    finished = np.array(data.draw(st.lists(st.booleans(), min_size=len(keys), max_size=len(keys))), bool)
    comparable = data.draw(st.sampled_from([str, str.lower]))
    wanted = plain_refusals(keys, output, finished, comparable)
    assert find_refusals(keys, output, finished, comparable) == wanted
    assert find_refusals(listing(keys).keys, output, finished, comparable) == wanted


def listing(keys: list[str]) -> Objects:
    return Objects.of(ObjectInfo(key, f"e{i}", i, i % 2 == 1) for i, key in enumerate(keys))


@cheap
@given(keys_, st.data())
def test_columns_give_back_what_was_listed(keys, data):
    infos = [ObjectInfo(key, f"e{i}", i, i % 2 == 1) for i, key in enumerate(keys)]
    columns = Objects.of(infos)
    assert (list(columns), len(columns), list(columns.keys)) == (infos, len(infos), keys)
    assert [columns[i] for i in range(len(infos))] == columns[:] == infos
    indices = data.draw(st.lists(st.integers(0, len(keys) - 1), max_size=20)) if keys else []
    assert columns.keys.take(np.array(indices, np.int64)) == [keys[i] for i in indices]
    assert list(columns.where(lambda key: "a" in key)) == [info for info in infos if "a" in info.key]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(keys=keys_, output=outputs_, data=st.data())
def test_the_same_shards_and_the_same_file(keys, output, data, tmp_path_factory, no_storage, portions):
    sizes = data.draw(st.lists(st.integers(0, 40), min_size=len(keys), max_size=len(keys)))
    config = JobConfig(
        output=output,
        plan=PlanConfig(shard_images=data.draw(st.integers(1, 6)), shard_bytes=30, retry_failed=True),
    )
    infos = [ObjectInfo(key, f"e{i}", size) for i, (key, size) in enumerate(zip(keys, sizes, strict=True))]
    failed = {i: data.draw(st.integers(1, 3)) for i in range(len(keys)) if data.draw(st.booleans())}
    done = {i for i in range(len(keys)) if i not in failed and data.draw(st.booleans())}
    guides = {key: ItemGuide("{}", f"g{key}") for key in keys if data.draw(st.integers(0, 9)) == 0}
    out = open_store(str(tmp_path_factory.mktemp("out")), no_storage)
    rows = [row(keys[i], etag=f"e{i}", guide=getattr(guides.get(keys[i]), "digest", None)) for i in done]
    rows += [row(keys[i], Status.FAILED, attempts, etag=f"e{i}") for i, attempts in failed.items()]
    put_part(out, "digest", "1", rows)

    plan = make_plan(Listed(infos), out, config, "digest", workers=2, guides=Guided(guides))

    refused = plain_refusals(keys, output, np.array([i in done for i in range(len(keys))], bool))
    items = []
    for i, info in enumerate(infos):
        if i not in done:
            json, digest = guides.get(info.key, (None, None))
            output_, code, message = output_key(info.key, output), None, None
            if i in refused:
                output_, code, message = None, *refused[i]
            items.append(Item(*info[:3], failed.get(i, 0), output_, code, message, json, digest))
    wanted = plain_cut(items, "digest", config.plan, 2)
    assert list(plan.shards) == wanted
    assert plan.shards == wanted
    assert [plan.shards[i] for i in range(len(wanted))] == wanted == plan.shards[:]
    assert plan.shards.image_counts() == {shard.shard_id: len(shard.items) for shard in wanted}
    in_shards = [item for shard in wanted for item in shard.items]
    assert plan.shards.items_at(range(0, len(in_shards), 2)) == in_shards[::2]
    assert (plan.todo_items, plan.todo_bytes) == (len(items), sum(item.bytes for item in items))
    write_plan(out, "run", plan)
    assert out.get("runs/run/plan/shards.parquet").data == plain_plan_bytes(wanted, portions)
    table = plan_table(plan)
    assert [each.to_pylist() for each in plan_rows(plan)] == [[each] for each in table.to_pylist()]


def test_a_shard_that_is_not_there_is_an_index_error(tmp_path, no_storage):
    plan = make_plan(
        Listed([ObjectInfo("a", "e", 1)]), open_store(str(tmp_path), no_storage), JobConfig(), "d", workers=1
    )
    assert plan.shards[-1] == plan.shards[0]
    for index in (1, -2):
        with pytest.raises(IndexError):
            plan.shards[index]
    assert plan.shards != []
    assert plan.shards != "no shards"
    assert plan.shards[0].items[0].failure_code != FailureCode.BAD_KEY
