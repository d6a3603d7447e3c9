"""Inventories as S3 delivers them: a manifest and its files in CSV, ORC or Parquet."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import orc

from pipeline.config.storage import StorageConfig
from pipeline.plan.inventory import inventory_objects
from pipeline.storage import ObjectInfo, open_store

NO = StorageConfig()
FORMATS = ("CSV", "ORC", "Parquet")
NAMES = {
    "bucket": "Bucket",
    "key": "Key",
    "version_id": "VersionId",
    "is_latest": "IsLatest",
    "is_delete_marker": "IsDeleteMarker",
    "size": "Size",
    "last_modified_date": "LastModifiedDate",
    "e_tag": "ETag",
    "storage_class": "StorageClass",
    "intelligent_tiering_access_tier": "IntelligentTieringAccessTier",
}
#: In no order, with what an inventory of all versions has: old versions, delete markers.
ROWS = [
    ("photos/z.tif", True, False, 7, "ee", "STANDARD", None),
    ("photos/a b+c/é 100%.tif", True, False, 1, "aa", "GLACIER_IR", None),
    ("photos/a b+c/é 100%.tif", False, False, 9, "old", "STANDARD", None),
    ("photos/gone.tif", True, True, None, None, None, None),
    ("photos/gone.tif", False, False, 3, "gg", "STANDARD", None),
    ("photos/b.tif", True, False, 2, "bb-3", "DEEP_ARCHIVE", None),
    ("photos/t.tif", True, False, 4, "tt", "INTELLIGENT_TIERING", "ARCHIVE"),
    ("photos/f.tif", True, False, 5, "ff", "INTELLIGENT_TIERING", "FREQUENT"),
    ("photos/", True, False, 0, "d4", "STANDARD", None),
    ("photosother/x.tif", True, False, 8, "xx", "STANDARD", None),
]
LISTED = [
    ObjectInfo("a b+c/é 100%.tif", "aa", 1, False),
    ObjectInfo("b.tif", "bb-3", 2, True),
    ObjectInfo("f.tif", "ff", 5, False),
    ObjectInfo("t.tif", "tt", 4, True),
    ObjectInfo("z.tif", "ee", 7, False),
]


def table(rows: list[tuple[Any, ...]], bucket: str = "archive") -> pa.Table:
    key, latest, marker, size, etag, storage_class, tier = map(list, zip(*rows, strict=True))
    return pa.table(
        {
            "bucket": [bucket] * len(rows),
            "key": key,
            "version_id": [""] * len(rows),
            "is_latest": latest,
            "is_delete_marker": marker,
            "size": pa.array(size, pa.int64()),
            "last_modified_date": pa.array(
                [1_600_000_000_000 + i for i in range(len(rows))], pa.timestamp("ms")
            ),
            "e_tag": etag,
            "storage_class": storage_class,
            "intelligent_tiering_access_tier": pa.array(tier, pa.string()),
        }
    )


def encoded(rows: pa.Table, format_: str, quoting=quote_plus) -> bytes:
    buffer = io.BytesIO()
    if format_ == "ORC":
        orc.write_table(rows, buffer)
    elif format_ == "Parquet":
        pq.write_table(rows, buffer)
    else:
        lines = []
        for row in rows.to_pylist():
            row["key"] = quoting(row["key"])
            if row.get("last_modified_date"):
                row["last_modified_date"] = f"{row['last_modified_date'].isoformat(timespec='milliseconds')}Z"
            lines.append(",".join(f'"{in_csv(each)}"' for each in row.values()))
        buffer.write(gzip.compress("\n".join(lines).encode()))
    return buffer.getvalue()


def in_csv(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def write(folder: Path, format_: str, *tables: pa.Table, data: str = "../data", **manifest: Any) -> str:
    """An inventory in a folder, as S3 lays it out; returns the path of its manifest."""
    files = []
    for number, rows in enumerate(tables):
        content = encoded(rows, format_)
        path = folder / "2026-01-01T01-00Z" / data / f"{number}.{format_.lower()}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.resolve().parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        files.append({"key": f"inv/archive/all/data/{path.name}", "size": len(content), "MD5checksum": md5})
    names = ", ".join(NAMES[name] for name in tables[0].column_names)
    whole = {
        "sourceBucket": "archive",
        "destinationBucket": "arn:aws:s3:::reports",
        "version": "2016-11-30",
        "creationTimestamp": "1767225600000",
        "fileFormat": format_,
        "fileSchema": names if format_ == "CSV" else "message s3.inventory {...}",
        "files": files,
    }
    (folder / "2026-01-01T01-00Z").mkdir(parents=True, exist_ok=True)
    path = folder / "2026-01-01T01-00Z/manifest.json"
    path.write_text(json.dumps(whole | manifest))
    return str(path)


def listed(uri: str, source: str = "s3://archive/photos") -> list[ObjectInfo]:
    return list(inventory_objects(uri, open_store(source, NO), NO))
