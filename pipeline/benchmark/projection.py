"""What a run over an archive costs in requests, hours and money, projected from measured figures.

    python -m pipeline.benchmark.projection docs/scale/inputs.yaml

Prints tables in Markdown. Requests follow from the code: an image is read and written once; a shard writes
its ledger part, which is read to count its rows, to merge it, and before it is removed; the next plan reads
the merged parts.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

_GIB, _GB = 2**30, 1e9
_LISTED = 1000  # keys of a request


def requests(inputs: dict[str, Any]) -> list[tuple[str, float, float]]:
    """What for, PUT and LIST requests, GET requests."""
    archive, settings = inputs["archive"], inputs["settings"]
    images = archive["images"]
    a_shard = min(settings["shard_images"], max(1, settings["shard_bytes"] // archive["image_bytes"]))
    shards = -(-images // a_shard)
    return [
        ("list the source", images / _LISTED, 0),
        ("read each photograph, write its result", images, images),
        (f"write the ledger part of each of {shards:,} shards", shards, 0),
        ("count the rows of all parts, and list them", shards / _LISTED, shards),
        ("merge the parts, then compare and remove them", shards * a_shard / 250_000, 2 * shards),
        ("next run: list everything again, read the merged parts", images / _LISTED, images / 250_000),
    ]


def tables(inputs: dict[str, Any]) -> str:
    """The tables of `docs/scale.md`."""
    archive, cluster, prices = inputs["archive"], inputs["cluster"], inputs["prices"]
    rows = [(what, put, get, _money(put, get, prices)) for what, put, get in requests(inputs)]
    total = [sum(row[1] for row in rows), sum(row[2] for row in rows), sum(row[3] for row in rows)]
    cores = cluster["machines"] * cluster["cores"]
    core_hours = archive["images"] * inputs["measured"]["core_seconds_image"] / 3600
    hours = core_hours / cores
    machines = hours * (cluster["machines"] + 1) * prices["machine_hour"]
    storage = archive["images"] * archive["result_bytes"] / _GB * prices["storage_gb_month"]
    return "\n".join(
        [
            f"Of {archive['images']:,} images, prices of {prices['date']}:",
            "",
            "| requests | PUT, LIST | GET | US dollars |",
            "|---|---:|---:|---:|",
            *(f"| {what} | {put:,.0f} | {get:,.0f} | {money:,.2f} |" for what, put, get, money in rows),
            f"| all | {total[0]:,.0f} | {total[1]:,.0f} | {total[2]:,.2f} |",
            "",
            "| work | | US dollars |",
            "|---|---:|---:|",
            f"| core hours | {core_hours:,.0f} | |",
            f"| hours on {cluster['machines']:,} machines of {cluster['cores']} cores, and a head "
            f"| {hours:,.1f} | {machines:,.0f} |",
            f"| read and written each second, GB | {_traffic(archive, hours):,.1f} | |",
            f"| results in storage, TB, and a month of it | "
            f"{archive['images'] * archive['result_bytes'] / 1e12:,.0f} | {storage:,.0f} |",
            "",
            *_driver(archive["images"], inputs["measured"]),
        ]
    )


def _money(put: float, get: float, prices: dict[str, Any]) -> float:
    return float(put * prices["put_per_1000"] + get * prices["get_per_1000"]) / 1000


def _traffic(archive: dict[str, Any], hours: float) -> float:
    moved = archive["images"] * (archive["image_bytes"] + archive["result_bytes"])
    return float(moved / _GB / (hours * 3600))


def _driver(images: int, measured: dict[str, Any]) -> list[str]:
    share = images / measured["plan_objects"]
    grown = (measured["plan_peak_mib"] - measured["plan_base_mib"]) * share
    memory = (measured["plan_base_mib"] + grown) * 2**20 / _GIB
    return [
        "| the plan, on the head | |",
        "|---|---:|",
        f"| memory, GiB | {memory:,.1f} |",
        f"| core minutes | {measured['plan_core_seconds'] * share / 60:,.0f} |",
        f"| the plan's file, GB | {measured['plan_file_bytes'] * share / _GB:,.1f} |",
    ]


def main(path: str) -> None:
    """Print the tables of the inputs in a YAML file."""
    print(tables(yaml.safe_load(Path(path).read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main(*sys.argv[1:])
