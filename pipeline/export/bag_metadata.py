"""The metadata of a bag: bag-info.txt, the ledger, PREMIS, and the settings of the runs."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from pipeline import __version__
from pipeline.errors import ConfigError, ObjectMissing
from pipeline.export.bag import Payload
from pipeline.export.csv_table import write_csv
from pipeline.export.premis import write_premis
from pipeline.ledger.keys import config_key
from pipeline.ledger.stream import LedgerParts, newest_images, rows_at
from pipeline.storage import check_key

_RESERVED = ("payload-oxum", "bagging-date", "bag-software-agent", "external-description")


def parse_labels(pairs: Iterable[str]) -> list[tuple[str, str]]:
    """LABEL=VALUE as labels and values.

    Raises:
        ConfigError: label or value is missing, or every bag sets this label itself.
    """
    labels = []
    for pair in pairs:
        label, _, value = (part.strip() for part in pair.partition("="))
        if not label or not value or ":" in label or not label.isprintable():
            raise ConfigError(
                f"--bag-info {pair!r} is not LABEL=VALUE; example: Source-Organization='City Archive'"
            )
        if label.lower() in _RESERVED:
            raise ConfigError(f"--bag-info {label}: every bag sets this itself; leave it out")
        labels.append((label, value))
    return labels


def bag_info(output: str, payload: Payload) -> list[tuple[str, str]]:
    """Labels and values of bag-info.txt (RFC 8493, 2.2.2); the software by the label of the bagit library."""
    description = (
        f"Photographs from {output}, coloured by software; the colours are guesses. metadata/ledger.csv has "
        "a row for each source image, metadata/premis.xml what was done, metadata/runs/ the settings."
    )
    return [
        ("External-Description", description),
        ("Bagging-Date", f"{datetime.now(UTC):%Y-%m-%d}"),
        ("Payload-Oxum", f"{payload.bytes}.{payload.objects}"),
        ("Bag-Software-Agent", f"Fiat Color {__version__}"),
    ]


def describe(parts: LedgerParts, objects: pa.Table, bag: Path) -> None:
    """Write the tag files below `metadata/`; in PREMIS an object's name is its path in the bag.

    Raises:
        StorageError: the ledger or settings cannot be read. OSError: the bag cannot be written.
    """
    folder = bag / "metadata"
    folder.mkdir()
    with (folder / "ledger.csv").open("wb") as file:
        write_csv(parts, newest_images(parts), file, lambda count: None)
    with (folder / "premis.xml").open("wb") as file:
        write_premis(parts, objects, file, lambda count: None, "data/")
    runs = {run for table in rows_at(parts, objects) for run in table["run_id"].unique().to_pylist()}
    for run in sorted(runs):
        key = config_key(run)
        check_key(key)
        try:
            settings = parts.out.get(key).data
        except ObjectMissing:
            continue  # the folder was moved away; the ledger still has the job digest
        (folder / key).parent.mkdir(parents=True)
        (folder / key).write_bytes(settings)
