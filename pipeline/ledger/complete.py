"""Check that every shard of a run is in the ledger: a store may confirm a write and still lose it."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.errors import RunError
from pipeline.ledger.keys import part_key
from pipeline.ledger.read import list_parts, map_parts, read_part
from pipeline.storage import Store

_NAMED = 3  # shards in a message


def check_complete(out: Store, job_digest: str, shards: Mapping[str, int]) -> None:
    """Read the parts of these shards again and count their rows.

    Args:
        shards: how many images each shard has, by its id.

    Raises:
        RunError: a part is not there, or has another number of rows; the message says how many images lack
            their row.
        DamagedLedgerPart: a part is damaged. StorageError: one cannot be listed or read.
    """
    present = set(list_parts(out, job_digest))
    wanted = {part_key(job_digest, shard_id): images for shard_id, images in shards.items()}
    there = [key for key in wanted if key in present]
    rows = dict(zip(there, map_parts(lambda key: read_part(out, key, ["key"]).num_rows, there), strict=True))
    short = [key for key, images in wanted.items() if rows.get(key, 0) != images]
    if short:
        lost = sum(wanted[key] - rows.get(key, 0) for key in short)
        names = ", ".join(short[:_NAMED]) + (", ..." if len(short) > _NAMED else "")
        raise RunError(
            f"{lost:,} of {sum(wanted.values()):,} images of this run have no row: the storage confirmed "
            f"ledger parts that it does not have ({names} in {out.uri}); run the same command again, and "
            "have the storage checked"
        )
