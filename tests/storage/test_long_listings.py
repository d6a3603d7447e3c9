"""Listings that several readers share: exactly the sorted keys, whatever is guessed, and faster."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.benchmark.simulated_archive import ArchiveKeys, page_of
from pipeline.storage.s3_jumps import keys_ahead
from pipeline.storage.s3_listing import list_sorted

LATENCY = 0.01


def listed(keys: Sequence[str], prefix: str = "", **options) -> list[str]:
    return [info.key for info in list_sorted(page_of(keys, **options), prefix)]


@settings(max_examples=60, deadline=None)
@given(
    st.sets(st.text("/ab1é\U0001f600", min_size=1, max_size=5), max_size=80).map(sorted),
    st.integers(1, 4),
    st.sampled_from(["", "a", "a/"]),
)
def test_every_key_once_and_in_order(keys, size, prefix):
    assert listed(keys, prefix, size=size) == [key for key in keys if key.startswith(prefix)]


NAMINGS = {
    "numbered": [f"negative-{i:06d}.tif" for i in range(3000)],
    "numbered, no zeros": sorted(f"{i}.tif" for i in range(3000)),
    "hashed": sorted(f"{i * 2654435761 % 2**32:08x}" for i in range(3000)),
    "dated": sorted(f"{1890 + i // 300}-{i % 12 + 1:02d}-{i % 28 + 1:02d}_{i}.jpg" for i in range(3000)),
    "words": sorted(f"{word} {i}" for word in ("harbour", "market", "tram", "Tram", "ź") for i in range(600)),
    "one long name": [f"{'x' * 200}{i:04d}" for i in range(3000)],
    "uneven": sorted({*(f"0000{i:05d}" for i in range(2500)), *(f"9{i * 7919:09d}" for i in range(500))}),
}


@pytest.mark.parametrize("naming", NAMINGS)
def test_long_rows_of_keys(naming):
    assert listed(NAMINGS[naming], size=20) == NAMINGS[naming]


@pytest.mark.parametrize("flat", [True, False], ids=["one folder", "folders and boxes"])
def test_readers_share_a_long_listing(flat):
    """Of 100 pages several are asked for at once, most of the time, and few that bring nothing."""
    keys, at_once = ArchiveKeys(10_000, flat=flat), []
    page = page_of(keys, LATENCY, size=100)
    asking = 0

    def counted(**query):
        nonlocal asking
        asking += 1
        at_once.append(asking)
        answer = page(**query)
        asking -= 1
        return answer

    assert [info.key for info in list_sorted(counted, "")] == keys[:]
    assert statistics.median(at_once) >= 4
    assert len(at_once) < 150


def test_a_server_that_ignores_where_to_start_is_listed_one_page_after_the_other():
    keys, page = ArchiveKeys(1000, flat=True), page_of(ArchiveKeys(1000, flat=True), size=10)

    def ignorant(StartAfter="", **query):
        return page(**query)

    assert [info.key for info in list_sorted(ignorant, "")] == keys[:]
    assert [info.key for info in list_sorted(ignorant, "", jump=False)] == keys[:]


def test_little_is_held_where_nobody_reads_on():
    pages = 0
    page = page_of(ArchiveKeys(100_000, flat=True), size=10)

    def counted(**query):
        nonlocal pages
        pages += 1
        return page(**query)

    listing = list_sorted(counted, "")
    next(listing)
    time.sleep(0.5)
    assert 96 <= pages <= 300  # of 10,000
    listing.close()
    deadline = time.monotonic() + 10
    while any(thread.name.startswith("list ") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_guesses_count_on_as_the_keys_do():
    keys = ["a/0090.tif", "a/0095.tif"]
    assert keys_ahead(keys, "a/", 3, None) == ["a/0100.tif", "a/0105.tif", "a/0110.tif"]
    assert keys_ahead(keys, "a/", 3, "a/0107") == ["a/0100.tif", "a/0105.tif"]
    assert keys_ahead(["e0", "e9", "ea"], "", 4, None) == ["f4", "fe"]  # and nothing is after ff
    assert keys_ahead(["f0", "f9", "fa"], "", 4, None) == []
    assert keys_ahead(["a/1"], "a/", 3, None) == []


@pytest.mark.s3
@pytest.mark.parametrize("kind", ["moto", "ceph"])
def test_a_real_server_gives_the_same(kind, request):
    server = request.getfixturevalue(f"s3_{kind}")
    bucket, asked = server.bucket(), []
    keys = sorted([f"box/{i:03d}.jpg" for i in range(60)] + ["box/é.jpg", "box/a b+c.jpg"])
    for key in keys:
        server.client.put_object(Bucket=bucket, Key=key, Body=b"")

    def page(**query):
        asked.append(query)
        return server.client.list_objects_v2(Bucket=bucket, MaxKeys=2, **query)

    assert [info.key for info in list_sorted(page, "box/")] == keys
    assert any("StartAfter" in query for query in asked)
