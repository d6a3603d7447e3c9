"""Prepared training rows of small random photographs."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline.photographs.rows import SCHEMA


def training_rows(
    counts: Mapping[str, int], val: int = 0, size: int = 48, broken: frozenset[str] = frozenset()
) -> pa.Table:
    """`counts` training photographs per source, and `val` validation photographs of each; sources are labels
    too. The keys in `broken` get bytes that are not an image."""
    rng = np.random.default_rng(0)
    output = []
    for source, count in counts.items():
        for i in range(count + val):
            key = f"{source}/{i}"
            buffer = io.BytesIO()
            pixels = rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)
            Image.fromarray(pixels).resize((size + 16, size), Image.Resampling.BICUBIC).save(buffer, "JPEG")
            image = b"\xff\xd8 no image" if key in broken else buffer.getvalue()
            output.append(
                {"key": key, "source": source, "label": source, "width": size + 16, "height": size,
                 "split": "train" if i < count else "val", "mean_chroma": 20.0, "mean_a": 3.0, "mean_b": 6.0,
                 "phash": bytes(16), "sha256": key, "image": image}
            )  # fmt: skip
    return pa.Table.from_pylist(output, SCHEMA)


def parts(table: pa.Table, rows: int, group: int) -> dict[str, bytes]:
    """Parquet files as prepare_photos writes them, `rows` in each, in row groups of `group`."""
    files = {}
    for number, start in enumerate(range(0, table.num_rows, rows)):
        buffer = io.BytesIO()
        pq.write_table(table.slice(start, rows), buffer, compression="zstd", row_group_size=group)
        files[f"photos-{number:05d}.parquet"] = buffer.getvalue()
    return files


def write_parts(folder: Path, table: pa.Table, rows: int = 20, group: int = 5) -> None:
    for name, data in parts(table, rows, group).items():
        (folder / name).write_bytes(data)
