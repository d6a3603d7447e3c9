"""The rows of a run are compared with its plan: if the storage lost rows, an error names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config.storage import StorageConfig
from pipeline.errors import DamagedLedgerPart, RunError
from pipeline.ledger.complete import check_complete
from pipeline.ledger.keys import part_key
from pipeline.storage import Store, open_store
from tests.support.ledger_parts import put_part, row

SHARDS = {"1": 2, "2": 1, "3": 3}


@pytest.fixture
def out(tmp_path: Path) -> Store:
    store = open_store(str(tmp_path), StorageConfig())
    for shard, images in SHARDS.items():
        put_part(store, "d", shard, [row(f"{shard}-{i}") for i in range(images)])
    put_part(store, "d", "of an earlier run", [row("a")])
    return store


def test_all_there_is_no_error(out: Store) -> None:
    check_complete(out, "d", SHARDS)
    check_complete(out, "d", {})


def test_a_part_that_is_gone_is_named_with_its_images(out: Store) -> None:
    out.delete(part_key("d", "3"))
    with pytest.raises(RunError, match=r"^3 of 6 images of this run have no row: .*part-3.parquet in /"):
        check_complete(out, "d", SHARDS)


def test_a_part_with_too_few_rows_is_named_too(out: Store) -> None:
    with pytest.raises(RunError, match=r"^2 of 8 images .*part-2.parquet"):
        check_complete(out, "d", SHARDS | {"2": 3})


def test_many_parts_are_counted_and_a_few_named(out: Store) -> None:
    with pytest.raises(
        RunError, match=r"^20 of 26 images .*part-a.parquet, .*part-b.parquet, .*part-c.parquet, \.\.\."
    ):
        check_complete(out, "d", SHARDS | dict.fromkeys("abcde", 4))


def test_a_part_that_was_cut_is_damaged(out: Store) -> None:
    key = part_key("d", "1")
    out.put(key, out.get(key).data[:-9])
    with pytest.raises(DamagedLedgerPart, match=r"part-1\.parquet"):
        check_complete(out, "d", SHARDS)
