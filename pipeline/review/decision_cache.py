"""A copy of many decisions in one object, so that a hundred thousand need not be read one by one.

    decisions/cache.parquet    key, etag, text

It is only a cache: an entry counts only if the listing has its decision with the same ETag, and removing the
object costs only time. Of two concurrent writers the later one wins; entries that it lacks are read from the
decisions.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import ObjectMissing
from pipeline.ledger.keys import DECISIONS
from pipeline.storage import ObjectInfo, Store

CACHE = f"{DECISIONS}cache.parquet"
#: With fewer decisions they are read one by one: that takes a second, and a cache costs one more request.
LEAST = 500
#: Longer decisions hold strokes and are read one by one; all cached ones are held in memory.
_LONGEST, _MOST_BYTES = 16 * 2**10, 256 * 2**20
_SCHEMA = pa.schema([("key", pa.string()), ("etag", pa.string()), ("text", pa.binary())])


def cached_texts(out: Store, listed: Sequence[ObjectInfo]) -> dict[str, bytes]:
    """By key, the texts of the listed decisions that the cache has; empty if there are few decisions or if
    the cache is damaged.

    Raises:
        StorageError: the store fails.
    """
    if len(listed) < LEAST:
        return {}
    try:
        table = pq.read_table(io.BytesIO(out.get(CACHE).data)).select(_SCHEMA.names).cast(_SCHEMA)
    except (ObjectMissing, pa.ArrowException, OSError, ValueError, KeyError):
        return {}
    etags = {info.key: info.etag for info in listed}
    columns = (table[name].to_pylist() for name in _SCHEMA.names)
    return {key: text for key, etag, text in zip(*columns, strict=True) if etag and etags.get(key) == etag}


def write_cache(out: Store, listed: Iterable[ObjectInfo], texts: Mapping[str, bytes]) -> None:
    """Replace the cache with one of these decisions.

    Args:
        texts: by key the bytes of decisions.

    Raises:
        StorageError: it cannot be written.
    """
    short = [(info.key, info.etag, texts[info.key]) for info in listed if len(texts[info.key]) <= _LONGEST]
    table = pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(_columns(short), _SCHEMA, strict=True)],
        schema=_SCHEMA,
    )
    lengths = pc.cumulative_sum(pc.binary_length(table["text"]).cast(pa.int64()))
    buffer = io.BytesIO()
    kept = table.filter(pc.less_equal(lengths, _MOST_BYTES))
    pq.write_table(kept, buffer, compression="zstd", write_page_checksum=True)
    out.put(CACHE, buffer.getvalue(), "application/vnd.apache.parquet")


def _columns(rows: Sequence[tuple[str, str, bytes]]) -> list[list[str] | list[bytes]]:
    return [[row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]]
