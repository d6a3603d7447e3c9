"""The columns of the ledger, which has one row per source object."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from pipeline.records import Status

LEDGER_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),  # source key below the input prefix
        pa.field("etag", pa.string(), nullable=False),  # identifies the version of the source that was read
        pa.field("bytes", pa.int64(), nullable=False),  # size of the source object
        pa.field("status", pa.string(), nullable=False),  # see Status
        pa.field("failure_code", pa.string()),  # see errors.FailureCode; null unless status is failed
        pa.field("message", pa.string()),  # a sentence for a person
        pa.field("attempts", pa.int32(), nullable=False),  # runs that tried this version of the image
        pa.field("output_key", pa.string()),  # key of the colour image below OUT; null unless colorized
        pa.field("width", pa.int32()),  # pixels, after EXIF orientation
        pa.field("height", pa.int32()),
        pa.field("pages", pa.int32()),  # of a TIFF; width, height and mode are the first one's
        pa.field("mode", pa.string()),  # Pillow mode of the source: L, LA, RGB, P, 1 ...
        # color.toning.colour_spread, ab units, the largest of all pages; 0: gray; null: nothing was decoded
        pa.field("color_spread", pa.float32()),
        # a photograph above model.color_threshold has real colour
        pa.field("color_threshold", pa.float32()),
        pa.field("source_sha256", pa.string()),
        pa.field("output_sha256", pa.string()),
        pa.field("derivative_key", pa.string()),  # key of the second, smaller file below OUT; null: none
        pa.field("derivative_sha256", pa.string()),
        # max over pixels of |L*(output) - L*(source)| of the finished pixels, before lossy encoding
        pa.field("max_delta_l", pa.float32()),
        pa.field("mean_chroma", pa.float32()),  # mean CIELAB C*ab of the output
        pa.field("colorfulness", pa.float32()),  # Hasler and Suesstrunk 2003, M3
        pa.field("metadata_changes", pa.list_(pa.string())),  # changed or omitted source metadata
        pa.field("guide_digest", pa.string()),  # over the image's guide, 16 hex digits; null: it had none
        pa.field("method", pa.string(), nullable=False),  # the one this image was coloured with
        pa.field("weights_digest", pa.string(), nullable=False),
        pa.field("job_digest", pa.string(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("finished_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("seconds_decode", pa.float32()),
        pa.field("seconds_predict", pa.float32()),
        pa.field("seconds_compose", pa.float32()),  # compose, encode and put
        # Where the pages of a TIFF became a file each: the files beside output_key and derivative_key, which
        # are the first page's, in the order of the pages; null: there are no others.
        pa.field("further_keys", pa.list_(pa.string())),
        pa.field("further_sha256", pa.list_(pa.string())),
        # Share of its area, 0 to 1, where a gray or toned scan has real colour (color.real_colour), or of
        # several pages the largest; null unless colorized, and where color_spread is above its threshold.
        pa.field("real_color_share", pa.float32()),
        # Share of the photographs of the weights' calibration whose expected CIEDE2000 is smaller, 0 to 1
        # (models.doubt); null: the weights have no calibration, a guide said the colours, report.doubt=false.
        pa.field("doubt", pa.float32()),
        pa.field("doubt_reasons", pa.string()),  # see DoubtReason, joined by commas; null: none
        # How far the picture is from the training photographs', 0 to 1; null: not known.
        pa.field("novelty", pa.float32()),
        pa.field(
            "input", pa.string()
        ),  # where the source was: a folder or s3://bucket/prefix, with the key below
    ]
)


#: Columns that may differ between two runs over the same photographs.
VOLATILE_COLUMNS = (
    "input",
    "attempts",
    "run_id",
    "finished_at",
    "seconds_decode",
    "seconds_predict",
    "seconds_compose",
)


#: The columns that name a source and its checksum, and those that name an output and its checksum.
SOURCE_COLUMNS = (("key", "source_sha256"),)
OUTPUT_COLUMNS = (
    ("output_key", "output_sha256"),
    ("derivative_key", "derivative_sha256"),
    ("further_keys", "further_sha256"),  # lists of the same length
)
#: Columns of SHA-256 over files, 64 lower-case hex digits, or of lists of them.
CHECKSUMS = tuple(sha256 for _, sha256 in (*SOURCE_COLUMNS, *OUTPUT_COLUMNS))


@dataclass
class LedgerRow:
    """One row of the ledger; fields as in LEDGER_SCHEMA."""

    key: str
    etag: str
    bytes: int
    status: Status
    attempts: int
    method: str
    weights_digest: str
    job_digest: str
    run_id: str
    finished_at: datetime
    failure_code: str | None = None
    message: str | None = None
    output_key: str | None = None
    width: int | None = None
    height: int | None = None
    pages: int | None = None
    color_spread: float | None = None
    color_threshold: float | None = None
    mode: str | None = None
    source_sha256: str | None = None
    output_sha256: str | None = None
    derivative_key: str | None = None
    derivative_sha256: str | None = None
    max_delta_l: float | None = None
    mean_chroma: float | None = None
    colorfulness: float | None = None
    metadata_changes: list[str] | None = None
    guide_digest: str | None = None
    seconds_decode: float | None = None
    seconds_predict: float | None = None
    seconds_compose: float | None = None
    further_keys: list[str] | None = None
    further_sha256: list[str] | None = None
    real_color_share: float | None = None
    doubt: float | None = None
    doubt_reasons: str | None = None
    novelty: float | None = None
    input: str | None = None


def ledger_table(rows: list[LedgerRow]) -> pa.Table:
    """The rows as one Arrow table of LEDGER_SCHEMA, in the order given."""
    return pa.Table.from_pylist([_plain(row) for row in rows], schema=LEDGER_SCHEMA)


def _plain(row: LedgerRow) -> dict[str, Any]:
    return {**asdict(row), "status": str(row.status)}
