"""docs/scale.md has the tables and sentences that its commands print from the inputs next to it."""

from __future__ import annotations

import pytest
import yaml

from pipeline.benchmark.projection import requests, sentences, tables
from tests.support.paths import REPO

SCANS = yaml.safe_load((REPO / "docs/scale/scans-12mp.yaml").read_text(encoding="utf-8"))
INPUTS = yaml.safe_load((REPO / "docs/scale/inputs.yaml").read_text(encoding="utf-8"))


def test_the_page_has_what_the_command_prints() -> None:
    assert tables(INPUTS) in (REPO / "docs/scale.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["docs/scale.md", "docs/archivist.md"])
def test_the_pages_have_the_sentences_on_scans(page: str) -> None:
    words = " ".join((REPO / page).read_text(encoding="utf-8").split())
    assert " ".join(sentences(SCANS).split()) in words


def test_the_sentences_are_a_sum_done_by_hand() -> None:
    inputs = SCANS | {"measured": {"core_seconds_image": 0.288}}
    by_hand = (
        "10,000 scans of 12 megapixels take 6 minutes on 8 cores",
        "the disk reads and writes 150 MB a second.",
        "1,000,000 take 60 minutes on 10 machines of 8 cores, and cost 13 US dollars: 7 for the machines",
    )
    assert all(text in sentences(inputs) for text in by_hand)


def test_smaller_shards_are_more_requests() -> None:
    def parts(shard_bytes: int) -> float:
        return requests(INPUTS | {"settings": {"shard_images": 512, "shard_bytes": shard_bytes}})[2][1]

    assert parts(64 * 2**20) == -(-100_000_000 // 111)
    assert parts(1) == 100_000_000
