"""Columns and statuses of the plan and the ledger: the only schema in the project.

Plan (`OUT/runs/<run id>/plan/shards.parquet`): one row per shard, the one unit of work, retry and commit.
Ledger (`OUT/ledger/<job digest>/part-<shard id>.parquet`): one row per source image. A ledger part is the
commit record of its shard: no part, not done.
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


ITEM_TYPE = pa.struct(
    [
        pa.field("key", pa.string(), nullable=False),  # source key below the input prefix, with "/"
        pa.field("etag", pa.string(), nullable=False),  # S3 ETag without quotes; local: "<size>-<mtime ns>"
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("attempts", pa.int32(), nullable=False),  # attempts in earlier runs (plan.retry_failed)
        pa.field("output_key", pa.string()),  # below OUT; null: decided to fail at planning
        pa.field("failure_code", pa.string()),  # set where planning already knows the image fails
        pa.field("message", pa.string()),
        pa.field("guide", pa.string()),  # pipeline.guides.Guide as JSON; null: none
        pa.field("guide_digest", pa.string()),
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
