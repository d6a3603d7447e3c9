"""Rows come back complete and in the order of their hash; a full disk is reported in one line."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO

import pytest

from pipeline.errors import StorageError
from pipeline.photographs import shuffling
from pipeline.photographs.shuffling import RowShuffler


def row(number: int) -> dict[str, object]:
    return {"sha256": hashlib.sha256(str(number).encode()).hexdigest(), "image": bytes(number)}


def test_all_rows_come_back_in_the_order_of_their_hash() -> None:
    with RowShuffler() as kept:
        for number in range(300):
            kept.add(row(number))
        lists = list(kept.rows(128))
    assert [len(one) for one in lists] == [128, 128, 44]
    results = [one for part in lists for one in part]
    assert results == sorted(map(row, range(300)), key=lambda one: str(one["sha256"]))


def _keep(one: dict[str, object]) -> None:
    with RowShuffler() as kept:
        kept.add(one)
        list(kept.rows(1))


def always_full() -> IO[bytes]:
    return Path("/dev/full").open("w+b", buffering=8192)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux's device that is always full")
@pytest.mark.parametrize("size", [10, 10**6])
def test_a_full_disk_says_what_to_do(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(shuffling.tempfile, "TemporaryFile", always_full)
    with pytest.raises(StorageError, match=r"No space left on device.*set TMPDIR"):
        _keep(row(1) | {"image": bytes(size)})
