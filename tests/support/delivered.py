"""A small output as workers write it: ledger parts and the objects that they name."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime

from pipeline.ledger.schema import LedgerRow
from pipeline.ledger.write import commit_part
from pipeline.records import Status
from pipeline.storage import Store


def row(key: str, data: bytes | None, hour: int = 0, run: str = "run-1", **more: object) -> LedgerRow:
    """A ledger row: of a coloured image with the bytes `data`, or of a failed image if `data` is None."""
    at = datetime(2026, 1, 1, hour, tzinfo=UTC)
    source = hashlib.sha256(b"source of " + key.encode()).hexdigest()
    status = Status.FAILED if data is None else Status.COLORIZED
    output = LedgerRow(key, "etag", 9, status, 1, "unet", "a" * 64, "digest", run, at, source_sha256=source)
    if data is not None:
        output = replace(output, output_key=f"images/{key}", output_sha256=hashlib.sha256(data).hexdigest())
    return replace(output, **more)


def with_derivative(made: LedgerRow, data: bytes) -> LedgerRow:
    """The row of an image that has a second file."""
    digest = hashlib.sha256(data).hexdigest()
    return replace(made, derivative_key=f"derivatives/{made.key}", derivative_sha256=digest)


def deliver(out: Store, **more: object) -> dict[str, bytes]:
    """Two runs with two versions; `b.jpg` was coloured twice, `c.tif` has a derivative, `bad.jpg` failed.

    Args:
        more: columns of all rows.

    Returns:
        The delivered objects by key.
    """
    objects = {
        "images/box 1/a.jpg": b"a, coloured",
        "images/b.jpg": b"b, coloured again",
        "images/c.tif": b"c, a master " * 1000,
        "derivatives/c.tif": b"c, for access",
    }
    for key, data in objects.items():
        out.put(key, data)
    early = [row("b.jpg", b"b, coloured", 1), row("box 1/a.jpg", objects["images/box 1/a.jpg"], 1)]
    master = with_derivative(
        row("c.tif", objects["images/c.tif"], 2, "run-2", max_delta_l=0.25, metadata_changes=["icc: none"]),
        objects["derivatives/c.tif"],
    )
    later = [
        row("b.jpg", objects["images/b.jpg"], 2, "run-2"),
        master,
        row("bad.jpg", None, 2, "run-2", failure_code="corrupt", message="=cut off"),
    ]
    commit_part(out, "digest-2", "0", [replace(one, **more) for one in early])
    commit_part(out, "digest-1", "0", [replace(one, **more) for one in later])
    for run, version in (("run-1", "0.1.0"), ("run-2", "0.2.0")):
        summary = {"versions": {"fiat-color": version}}
        out.put(f"runs/{run}/summary.json", json.dumps(summary).encode())
        out.put(f"runs/{run}/config.yaml", f"# of {run}\n".encode())
    return objects
