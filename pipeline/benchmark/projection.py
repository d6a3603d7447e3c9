"""What a run over an archive costs in requests, hours and money, projected from measured figures.

    python -m pipeline.benchmark.projection docs/scale/inputs.yaml
    python -m pipeline.benchmark.projection docs/scale/scans-12mp.yaml --short

Prints tables in Markdown, with --short three sentences in their place. Requests follow from the code: an
image is read and written once; a shard writes its ledger part, which is read to count its rows, to merge it,
and before it is removed; the next plan reads the merged parts.
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
    core_hours, hours, machines = _work(inputs)
    storage = _storage(inputs)
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


def sentences(inputs: dict[str, Any]) -> str:
    """For people who plan: what a part of the archive takes on one machine, and all of it on the cluster."""
    archive, cluster, own, prices = (inputs[name] for name in ("archive", "cluster", "workstation", "prices"))
    seconds = own["images"] * inputs["measured"]["core_seconds_image"] / own["cores"]
    megabytes = own["images"] * (archive["image_bytes"] + archive["result_bytes"]) / 1e6
    _, hours, machines = _work(inputs)
    terabytes = archive["images"] * archive["result_bytes"] / 1e12
    asked = sum(_money(put, get, prices) for _, put, get in requests(inputs))
    return "\n".join(
        [
            f"{own['images']:,} {archive['what']} take {_duration(seconds)} on {own['cores']} cores, where "
            f"the disk reads and writes {megabytes / seconds:,.0f} MB a second.",
            f"{archive['images']:,} take {_duration(hours * 3600)} on {cluster['machines']} machines of "
            f"{cluster['cores']} cores, and cost {machines + asked:,.0f} US dollars: {machines:,.0f} for the "
            f"machines and {asked:,.0f} for requests (prices of {prices['date']}).",
            f"The results have {terabytes:,.1f} TB; to keep them in the bucket costs {_storage(inputs):,.0f} "
            "US dollars a month.",
        ]
    )


def _work(inputs: dict[str, Any]) -> tuple[float, float, float]:
    """Core hours of the archive, hours of the cluster, US dollars for its machines and a head."""
    cluster = inputs["cluster"]
    core_hours = inputs["archive"]["images"] * inputs["measured"]["core_seconds_image"] / 3600
    hours = core_hours / (cluster["machines"] * cluster["cores"])
    return core_hours, hours, hours * (cluster["machines"] + 1) * inputs["prices"]["machine_hour"]


def _storage(inputs: dict[str, Any]) -> float:
    """US dollars a month for the results."""
    archive = inputs["archive"]
    return float(archive["images"] * archive["result_bytes"] / _GB * inputs["prices"]["storage_gb_month"])


def _duration(seconds: float) -> str:
    return f"{seconds / 60:,.0f} minutes" if seconds < 2 * 3600 else f"{seconds / 3600:,.1f} hours"


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


def main(path: str, short: str | None = None) -> None:
    """Print the tables of the inputs in a YAML file, or the sentences."""
    inputs = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    print(tables(inputs) if short is None else sentences(inputs))


if __name__ == "__main__":
    main(*sys.argv[1:])
