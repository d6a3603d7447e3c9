"""The files that ledger rows name: one source each, and any number of outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: `row`: the row of the table that names the file; `sha256` in hex, null if the row has none.
FILES_SCHEMA = pa.schema([("row", pa.int32()), ("key", pa.large_string()), ("sha256", pa.string())])


def named_files(table: pa.Table, columns: Sequence[tuple[str, str]]) -> pa.Table:
    """FILES_SCHEMA: the files that these columns name, pair by pair in the order of the rows.

    Args:
        table: rows with the columns; rows without a key in one name no file there.
        columns: pairs of key and checksum, texts or lists of texts of one length.
    """
    return pa.concat_tables(_named(table, *pair) for pair in columns)


def _named(table: pa.Table, key: str, sha256: str) -> pa.Table:
    keys, digests = table[key].combine_chunks(), table[sha256].combine_chunks()
    rows = pa.array(np.arange(table.num_rows, dtype=np.int32))
    if pa.types.is_list(keys.type):
        rows = rows.take(pc.list_parent_indices(keys))
        keys, digests = pc.list_flatten(keys), pc.list_flatten(digests)
    columns = [rows, keys.cast(pa.large_string()), digests]
    return pa.table(columns, schema=FILES_SCHEMA).filter(pc.is_valid(keys))
