"""Shards: every item once, within bounds, under an id that only depends on the work."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.job import PlanConfig
from pipeline.errors import AlreadyExists
from pipeline.plan.shards import cut, write_shards
from pipeline.records import PLAN_SCHEMA, Item
from pipeline.storage import open_store
from tests.support.plain_plan import ItemList

sizes = st.lists(st.one_of(st.integers(0, 100), st.integers(0, 2000)), max_size=200)
configs = st.builds(PlanConfig, shard_images=st.integers(1, 50), shard_bytes=st.integers(1, 1000))


def items(of_sizes: list[int]) -> list[Item]:
    return [Item(f"{i:04d}.jpg", f"e{i}", size, 0, f"images/{i:04d}.jpg") for i, size in enumerate(of_sizes)]


@given(sizes, configs, st.integers(1, 16))
def test_every_item_is_in_exactly_one_shard_in_order(of_sizes, config, workers):
    shards = cut(ItemList(items(of_sizes)), "digest", config, workers)
    together = sorted(item.key for shard in shards for item in shard.items)
    assert together == [item.key for item in items(of_sizes)]
    for shard in shards:
        assert [item.key for item in shard.items] == sorted(item.key for item in shard.items)
    assert len({shard.shard_id for shard in shards}) == len(shards)


@given(sizes, configs, st.integers(1, 16))
def test_bounds_hold_and_only_a_single_item_may_pass_them(of_sizes, config, workers):
    for shard in cut(ItemList(items(of_sizes)), "digest", config, workers):
        assert shard.bytes == sum(item.bytes for item in shard.items)
        assert 1 <= len(shard.items) <= config.shard_images
        assert shard.bytes <= config.shard_bytes or len(shard.items) == 1


@given(sizes, configs, st.integers(1, 16))
def test_the_same_work_has_the_same_ids_and_other_work_others(of_sizes, config, workers):
    once, again = (cut(ItemList(items(of_sizes)), "digest", config, workers) for _ in range(2))
    assert once == again
    other = cut(ItemList(items(of_sizes)), "another digest", config, workers)
    assert not {s.shard_id for s in once} & {s.shard_id for s in other}


def test_the_id_depends_on_key_etag_and_attempts():
    def shard_id(item: Item) -> str:
        return cut(ItemList([item]), "digest", PlanConfig(), 1)[0].shard_id

    base = Item("a", "e", 1)
    others = [Item("b", "e", 1), Item("a", "f", 1), Item("a", "e", 1, attempts=1)]
    assert len({shard_id(item) for item in [base, *others]}) == 4
    assert shard_id(base) == shard_id(Item("a", "e", 1, output_key="elsewhere"))


@pytest.mark.parametrize(
    ("count", "workers", "shards"),
    [
        (0, 2, 0),
        (1, 2, 1),
        (2, 2, 2),
        (5, 2, 2),
        (5, 8, 5),
        (12, 2, 3),
        (32, 2, 8),
        (80, 2, 8),
        (1000, 2, 8),
        (100_000, 2, 196),
        (5000, 100, 385),
    ],
)
def test_small_jobs_get_small_shards(count, workers, shards):
    assert len(cut(ItemList(items([1] * count)), "digest", PlanConfig(), workers)) == shards


def test_the_manifest_reads_back_and_is_never_overwritten(tmp_path, no_storage):
    out = open_store(str(tmp_path), no_storage)
    output = cut(ItemList(items([1] * 3000)), "digest", PlanConfig(shard_images=4), 1000)
    write_shards(out, "runs/r/plan/shards.parquet", output)
    table = pq.read_table(tmp_path / "runs/r/plan/shards.parquet")
    assert table.schema.equals(PLAN_SCHEMA)
    read = table.to_pylist()
    assert [row["shard_id"] for row in read] == [shard.shard_id for shard in output]
    assert [[Item(**item) for item in row["items"]] for row in read] == [shard.items for shard in output]
    with pytest.raises(AlreadyExists):
        write_shards(out, "runs/r/plan/shards.parquet", output[:1])


@pytest.mark.parametrize(("images", "shards"), [(1, 256), (512, 8), (2048, 8)])
def test_a_row_group_of_the_plan_has_some_thousand_items(tmp_path, no_storage, images, shards):
    """A driver that writes it holds few of them, and its footer stays short where shards are small."""
    config = PlanConfig(shard_images=images, shard_bytes=2**40)
    out = open_store(str(tmp_path), no_storage)
    whole = cut(ItemList(items([1] * images * (shards + 1))), "digest", config, 1)
    write_shards(out, "plan.parquet", whole)
    file = pq.ParquetFile(tmp_path / "plan.parquet")
    assert file.metadata.num_row_groups == 2
    assert [file.metadata.row_group(number).num_rows for number in range(2)] == [shards, 1]
