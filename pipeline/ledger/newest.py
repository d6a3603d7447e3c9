"""Which of several rows about the same thing counts. There are two rules for two questions.

Between equal rows (same attempts, same microsecond), both rules choose the row whose part has the first key,
so the answer never depends on the threads that read the parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.records import Status

_SAY_WHAT_STANDS = pa.array([str(Status.COLORIZED), str(Status.REJECTED)])


def newest_in_job(table: pa.Table, identity: Sequence[str]) -> pa.Table:
    """Within one job digest, the row with the most `attempts`, then the latest `finished_at`.

    This answers what happened to a version of a source. Each plan continues the count of attempts in the
    ledger, so more attempts mean a later outcome, even if the clocks of two workers differ.

    Args:
        table: rows of one job digest, in the order of their parts; all columns stay.
        identity: the columns that name a version of a source.

    Returns:
        One row for each identity, by ascending identity.
    """
    return _first_of_each(table, identity, [("attempts", "descending"), ("finished_at", "descending")])


def newest_of_all_jobs(table: pa.Table, identity: Sequence[str]) -> pa.Table:
    """Across job digests, the row with the latest `finished_at`.

    This answers which file is at a key, or what was last done to a source. Each job digest counts its
    attempts from one, and the last write overwrites earlier ones, so only time decides.

    Args:
        table: rows of any job digests, in the order of their parts; all columns stay.
        identity: the columns that name the object or the source.

    Returns:
        One row for each identity, by ascending identity.
    """
    return _first_of_each(table, identity, [("finished_at", "descending")])


def current_results(table: pa.Table) -> pa.Table:
    """For each source, the coloured row finished last; none if it was rejected since then.

    This is the current result of the source. It replaces what earlier runs made of the same source with other
    settings, even in another format under another name. It stays current if a later run failed.

    Args:
        table: rows of any job digests, in the order of their parts, with `key`, `status` and `finished_at`;
            all columns stay.
    """
    rows = table.filter(pc.is_in(table["status"], value_set=_SAY_WHAT_STANDS))
    newest = newest_of_all_jobs(rows, ["key"])
    return newest.filter(pc.equal(newest["status"], str(Status.COLORIZED)))


def _first_of_each(table: pa.Table, identity: Sequence[str], order: Sequence[tuple[str, str]]) -> pa.Table:
    """By ascending `identity` the first row of each in this order. The sort is stable."""
    keys = table.select([*identity, *(name for name, _ in order)]).combine_chunks()
    by = [*((name, "ascending") for name in identity), *order]
    indices = pc.sort_indices(keys, sort_keys=by)
    if len(indices) > 1:
        changes = (_changes(keys[name].take(indices).combine_chunks()) for name in identity)
        indices = indices.filter(pa.concat_arrays([pa.array([True]), reduce(pc.or_, changes)]))
    return table.take(indices)


def _changes(values: pa.Array) -> pa.Array:
    """For each value except the first, whether it differs from the previous one."""
    return pc.not_equal(values.slice(1), values.slice(0, len(values) - 1))
