"""The ledger as CSV for people and their spreadsheets (RFC 4180, UTF-8 with a byte-order mark): one row per
source image."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Callable
from datetime import datetime
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa

from pipeline.ledger.schema import LEDGER_SCHEMA
from pipeline.ledger.stream import LedgerParts, rows_at

#: Characters that start a formula in a spreadsheet (OWASP, "CSV Injection"), and the apostrophe that prevents
#: it.
_FORMULA = tuple("=+-@\t\r\n＝＋－＠'")
_SEPARATOR = "; "


def write_csv(parts: LedgerParts, images: pa.Table, file: BinaryIO, progress: Callable[[int], None]) -> int:
    """Write a header and the rows of `images` (`newest_images`); returns how many.

    A byte-order mark precedes the header. Without it, Excel reads the file in the system's 8-bit encoding.
    Nulls are empty, lists joined with "; ", times ISO 8601 in UTC. A text that a spreadsheet would read as a
    formula gets a leading apostrophe, and so does one that begins with an apostrophe. To restore the text,
    remove one leading apostrophe.

    Args:
        progress: called with the number of rows so far.

    Raises:
        StorageError: a ledger part cannot be read. OSError: `file` cannot be written.
    """
    count = 0
    file.write(codecs.BOM_UTF8)
    file.write(_lines([LEDGER_SCHEMA.names]))
    for table in rows_at(parts, images):
        columns = [map(_text, table[name].to_pylist()) for name in LEDGER_SCHEMA.names]
        file.write(_lines(zip(*columns, strict=True)))
        count += table.num_rows
        progress(count)
    return count


class _Buffer:
    """What csv.writer writes to."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, line: str) -> None:
        self.lines.append(line)


def _lines(rows: Any) -> bytes:
    buffer = _Buffer()
    csv.writer(cast(Any, buffer)).writerows(rows)
    return "".join(buffer.lines).encode()


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return str(np.float32(value))  # the shortest text that reads back as the same float32
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        value = _SEPARATOR.join(map(str, value))
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text
