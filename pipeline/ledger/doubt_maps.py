"""Maps of where a network was unsure in its results, one small file per shard next to the run's plan.

They are not part of the ledger, which every plan reads in full, and not a permanent record: removing a run's
folder loses only these maps.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from functools import partial
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.cli import log
from pipeline.ledger.keys import RUNS, doubt_maps_key, is_doubt_maps
from pipeline.ledger.read import map_parts
from pipeline.ledger.schema import LedgerRow
from pipeline.ledger.write import PARQUET, parquet_bytes
from pipeline.records import Status
from pipeline.storage import Store

#: Steps of a map to one Lab unit.
STEPS = 4
#: `output_sha256` says of which result; `places` has `width` times as many rows of bytes, from the top left.
SCHEMA = pa.schema(
    [("output_sha256", pa.string()), ("width", pa.int16()), ("height", pa.int16()), ("places", pa.binary())]
)


class DoubtMap(NamedTuple):
    """How uncertain a network was about the chroma at points of a picture, in rows from the top.

    places: one byte per point, the standard deviation of the predicted chroma distribution in Lab units times
    STEPS, at most 255.
    """

    width: int
    height: int
    places: bytes


def put_doubt_maps(
    out: Store, run_id: str, shard_id: str, rows: Iterable[LedgerRow], maps: Mapping[str, DoubtMap]
) -> None:
    """Store the maps, by source key, of those results of a shard whose row has a doubt, if there are any.

    Raises:
        StorageError: they cannot be written.
    """
    kept = [
        {"output_sha256": row.output_sha256, **maps[row.key]._asdict()}
        for row in rows
        if row.status == Status.COLORIZED and row.doubt is not None and row.key in maps
    ]
    if kept:
        data = parquet_bytes(pa.Table.from_pylist(kept, SCHEMA))
        out.put(doubt_maps_key(run_id, shard_id), data, PARQUET)


def read_doubt_maps(out: Store) -> pa.Table:
    """SCHEMA: the maps of all runs whose folders still exist. Warns about a damaged file and skips it.

    Raises:
        StorageError: they cannot be listed or read.
    """
    keys = [info.key for info in out.list(RUNS) if is_doubt_maps(info.key)]
    return pa.concat_tables([SCHEMA.empty_table(), *map_parts(partial(_read, out), keys)])


def _read(out: Store, key: str) -> pa.Table:
    try:
        file = pq.ParquetFile(io.BytesIO(out.get(key).data), page_checksum_verification=True)
        return file.read(columns=SCHEMA.names, use_threads=False).cast(SCHEMA)
    except (pa.ArrowException, OSError, ValueError) as error:
        words = " ".join(str(error).split())[:200]
        log.say(
            "no_doubt_maps", f"{out.uri}/{key} is damaged, its maps are left out: {words}", level="warning"
        )
        return SCHEMA.empty_table()
