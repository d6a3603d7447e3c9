"""docs/scale.md has the tables that its command prints from the inputs beside it."""

from __future__ import annotations

import yaml

from pipeline.benchmark.projection import requests, tables
from tests.support.paths import REPO

INPUTS = yaml.safe_load((REPO / "docs/scale/inputs.yaml").read_text(encoding="utf-8"))


def test_the_page_has_what_the_command_prints() -> None:
    assert tables(INPUTS) in (REPO / "docs/scale.md").read_text(encoding="utf-8")


def test_smaller_shards_are_more_requests() -> None:
    def parts(shard_bytes: int) -> float:
        return requests(INPUTS | {"settings": {"shard_images": 512, "shard_bytes": shard_bytes}})[2][1]

    assert parts(64 * 2**20) == -(-100_000_000 // 111)
    assert parts(1) == 100_000_000
