"""The ledger as PREMIS 3.0 XML: an object for each delivered file, an event for each colouring, its agents.

The schema requires all objects, then all events, then all agents. Objects are written while the ledger is
read; events go to a temporary file that is appended afterwards.

Source: PREMIS Data Dictionary 3.0 (2015), sections 1 (object), 2 (event) and 3 (agent), and its XML schema of
January 18, 2016 for names and order; event and relationship types from id.loc.gov/vocabulary/preservation.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from functools import cache
from itertools import groupby
from typing import Any, BinaryIO

import pyarrow as pa

from pipeline.errors import ObjectMissing
from pipeline.export.xml import element, identifier, text
from pipeline.ledger.keys import config_key, summary_key
from pipeline.ledger.stream import LedgerParts, rows_at
from pipeline.plan.outputs import SUFFIXES
from pipeline.records import GRAY
from pipeline.storage import Store

_VOCABULARY = "http://id.loc.gov/vocabulary/preservation"
_NAME = "Fiat Color"
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<premis:premis xmlns:premis="http://www.loc.gov/premis/v3" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:schemaLocation="http://www.loc.gov/premis/v3 https://www.loc.gov/standards/premis/premis.xsd" '
    'version="3.0">\n'
)
#: JPEGs are written as JFIF 1.01. The ledger does not distinguish TIFF from BigTIFF, or versions of PNG.
_PRONOM = {"image/jpeg": "fmt/43", "image/jp2": "x-fmt/392"}
Row = dict[str, Any]


def write_premis(
    parts: LedgerParts, objects: pa.Table, file: BinaryIO, progress: Callable[[int], None], prefix: str = ""
) -> int:
    """Write the document; returns the number of objects. The same ledger gives the same bytes.

    Args:
        objects: `DeliveredObjects.present`, not empty, because the schema requires an object.
        progress: called with the number of objects so far.
        prefix: put before each key in `originalName`.

    Raises:
        StorageError: a ledger part cannot be read. OSError: `file` cannot be written.
    """
    versions, count = set[str | None](), 0
    version_of = cache(lambda run_id: _version(parts.out, run_id))
    file.write(_HEAD.encode())
    with tempfile.TemporaryFile() as events:
        for rows in _colourings(parts, objects):
            version = version_of(rows[0]["run_id"])
            versions.add(version)
            file.writelines(_object(row, version, prefix).encode() for row in rows)
            events.write(_event(rows, version).encode())
            count += len(rows)
            progress(count)
        events.seek(0)
        shutil.copyfileobj(events, file)
    for version in sorted(versions, key=str):
        file.write(_agent(version).encode())
    file.write(b"</premis:premis>\n")
    return count


def _colourings(parts: LedgerParts, objects: pa.Table) -> Iterator[list[Row]]:
    """The objects of one ledger row at a time: its output, and its derivative if there is one."""
    for table in rows_at(parts, objects):
        for _, rows in groupby(table.to_pylist(), lambda row: row["at_row"]):
            yield list(rows)


def _version(out: Store, run_id: str) -> str | None:
    """The version of this software that a run used; None if it was stopped and left no summary."""
    try:
        summary = json.loads(out.get(summary_key(run_id)).data)
        version = summary["versions"]["fiat-color"]
    except (ObjectMissing, ValueError, KeyError, TypeError):
        return None
    return version if isinstance(version, str) else None


def _object(row: Row, version: str | None, prefix: str) -> str:
    return (
        element(
            "object",
            identifier("objectIdentifier", "UUID", _object_id(row)),
            _characteristics(row, version),
            text("originalName", prefix + row["at_key"]),
            _source(row),
            identifier("linkingEventIdentifier", "UUID", _event_id(row)),
            attributes=' xsi:type="premis:file"',
        )
        + "\n"
    )


def _characteristics(row: Row, version: str | None) -> str:
    kind = media_type(row["at_key"])
    registry = ""
    if pronom := _PRONOM.get(kind):
        registry = element(
            "formatRegistry", text("formatRegistryName", "PRONOM"), text("formatRegistryKey", pronom)
        )
    application = [text("creatingApplicationName", _NAME)]
    if version:
        application.append(text("creatingApplicationVersion", version))
    return element(
        "objectCharacteristics",
        element("fixity", text("messageDigestAlgorithm", "SHA-256"), text("messageDigest", row["at_sha256"])),
        text("size", str(row["at_bytes"])),
        element("format", element("formatDesignation", text("formatName", kind)), registry),
        element(
            "creatingApplication",
            *application,
            text("dateCreatedByApplication", row["finished_at"].isoformat()),
        ),
    )


def media_type(key: str) -> str:
    """The media type by the suffix, which the plan derives from the format."""
    suffix = f".{key.rpartition('.')[2].lower()}"
    formats = [name for name, suffixes in SUFFIXES.items() if suffix in suffixes]
    return f"image/{formats[0]}" if formats else "application/octet-stream"


def _source(row: Row) -> str:
    related = [identifier("relatedObjectIdentifier", "source key", row["key"])]
    if row["source_sha256"]:
        related.append(identifier("relatedObjectIdentifier", "SHA-256", row["source_sha256"]))
    return element(
        "relationship",
        text("relationshipType", "derivation", f"{_VOCABULARY}/relationshipType/der"),
        text("relationshipSubType", "has source", f"{_VOCABULARY}/relationshipSubType/hss"),
        *related,
        identifier("relatedEventIdentifier", "UUID", _event_id(row)),
    )


def _event(rows: list[Row], version: str | None) -> str:
    row = rows[0]
    colours = "Colour was added by a neural network; the colours are guesses. "
    gray = "No colour was added: the image is to stay gray. "
    detail = (
        f"{gray if row['method'] == GRAY else colours}"
        f'method="{row["method"]}"; weights SHA-256="{row["weights_digest"]}"; '
        f'software="{_agent_name(version)}"; settings (job digest)="{row["job_digest"]}", '
        f"in {config_key(row['run_id'])}"
    )
    notes = "; ".join(_notes(row))
    outcome = [text("eventOutcome", "success")]
    if notes:
        outcome.append(element("eventOutcomeDetail", text("eventOutcomeDetailNote", notes)))
    program_role = text("linkingAgentRole", "executing program", f"{_VOCABULARY}/eventRelatedAgentRole/exe")
    outcome_role = text("linkingObjectRole", "outcome", f"{_VOCABULARY}/eventRelatedObjectRole/out")
    return (
        element(
            "event",
            identifier("eventIdentifier", "UUID", _event_id(row)),
            # the event makes a modified copy; the source stays unchanged
            text("eventType", "modification", f"{_VOCABULARY}/eventType/mod"),
            text("eventDateTime", row["finished_at"].isoformat()),
            element("eventDetailInformation", text("eventDetail", detail)),
            element("eventOutcomeInformation", *outcome),
            identifier("linkingAgentIdentifier", "software", _agent_name(version), program_role),
            *(identifier("linkingObjectIdentifier", "UUID", _object_id(row), outcome_role) for row in rows),
        )
        + "\n"
    )


def _notes(row: Row) -> Iterator[str]:
    if row["max_delta_l"] is not None:
        yield f"largest change of lightness (L*, of 100): {row['max_delta_l']:.3f}"
    if row["message"]:
        yield row["message"]
    if row["metadata_changes"]:
        yield "metadata: " + ", ".join(row["metadata_changes"])


def _agent_name(version: str | None) -> str:
    return f"{_NAME} {version}" if version else _NAME


def _agent(version: str | None) -> str:
    parts = [
        identifier("agentIdentifier", "software", _agent_name(version)),
        text("agentName", _NAME),
        text("agentType", "software"),
    ]
    if version:
        parts.append(text("agentVersion", version))
    return element("agent", *parts) + "\n"


def _object_id(row: Row) -> str:
    """The same bytes at the same key have the same identifier in every export."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"sha256:{row['at_sha256']}/{row['at_key']}"))


def _event_id(row: Row) -> str:
    names = (row["run_id"], row["job_digest"], row["etag"], row["key"])
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(names)))
