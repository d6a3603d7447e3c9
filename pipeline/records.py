"""Records that plan and ledger share: the status of an image, and the items of a plan with their schema.

The plan (`OUT/runs/<run id>/plan/shards.parquet`) has one row for each shard, the unit of work, retry and
commit. The columns of the ledger are in `pipeline.ledger.schema`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa


class Status(StrEnum):
    """What became of a source object."""

    COLORIZED = "colorized"
    SKIPPED_COLOR = "skipped_color"
    SKIPPED_OTHER = "skipped_other"
    FAILED = "failed"
    ARCHIVED = "archived"  # in an archive storage class, must be restored first; never done
    REJECTED = "rejected"  # somebody refused the result; the files that the row names were removed
    SUPERSEDED = "superseded"  # a newer result replaces it; the files that the row names were removed


#: The method that adds no colour, for images that somebody wants to keep gray.
GRAY = "gray"


class DoubtReason(StrEnum):
    """Why a person should look at a coloured image."""

    UNLIKE_TRAINING = "unlike_training"  # further from the training photographs than 99 % of photographs
    NEARLY_GRAY = "nearly_gray"  # the result has hardly any colour


#: The statuses that a colouring run can give an object.
RUN_STATUSES = tuple(status for status in Status if status not in (Status.REJECTED, Status.SUPERSEDED))


ITEM_TYPE = pa.struct(
    [
        pa.field("key", pa.string(), nullable=False),  # source key below the input prefix, with "/"
        pa.field("etag", pa.string(), nullable=False),  # S3 ETag without quotes; local: "<size>-<mtime ns>"
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("attempts", pa.int32(), nullable=False),  # attempts in earlier runs (plan.retry_failed)
        pa.field("output_key", pa.string()),  # below OUT; null: the plan already fails the image
        pa.field("failure_code", pa.string()),  # set if the plan already fails the image
        pa.field("message", pa.string()),
        pa.field("guide", pa.string()),  # pipeline.guides.guide.Guide as JSON; null: none
        pa.field("guide_digest", pa.string()),
        pa.field("finished", pa.string()),  # ledger part with the row of its finished image; null: to colour
    ]
)

PLAN_SCHEMA = pa.schema(
    [
        pa.field("shard_id", pa.string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("items", pa.list_(ITEM_TYPE), nullable=False),
    ]
)


@dataclass(frozen=True)
class ModelCard:
    """Facts about published weights: name, licence, source, the SHA-256 of the file, and the digest of the
    contract for an ONNX file (None for our own weights)."""

    name: str
    licence: str
    non_commercial: bool
    source: str
    sha256: str
    contract_sha256: str | None = None

    @property
    def terms(self) -> str:
        """The licence, in words for a person."""
        stated = not self.non_commercial or "non-commercial" in self.licence
        return self.licence if stated else f"{self.licence}, non-commercial use only"


@dataclass(frozen=True)
class Item:
    """One source object of a shard; fields as in ITEM_TYPE."""

    key: str
    etag: str
    bytes: int
    attempts: int = 0
    output_key: str | None = None
    failure_code: str | None = None
    message: str | None = None
    guide: str | None = None
    guide_digest: str | None = None
    finished: str | None = None
