"""The two rules that decide which row counts."""

from __future__ import annotations

from itertools import groupby

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ledger.newest import newest_in_job, newest_of_all_jobs

SCHEMA = pa.schema(
    [("key", pa.string()), ("etag", pa.string()), ("attempts", pa.int32()), ("finished_at", pa.int64())]
)
rows = st.lists(
    st.tuples(st.sampled_from("abé"), st.sampled_from("xy"), st.integers(1, 3), st.integers(0, 3)),
    max_size=30,
)


def table(listed: list[tuple[str, str, int, int]], chunk: int) -> pa.Table:
    """The rows in chunks, as they come from many parts, and their place among them."""
    portions = [listed[start : start + chunk] for start in range(0, len(listed), chunk)]
    tables = [
        pa.Table.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in p], SCHEMA)
        for p in portions
    ]
    whole = pa.concat_tables([SCHEMA.empty_table(), *tables])
    return whole.append_column("place", pa.array(range(len(listed)), pa.int64()))


def best(listed, identity, rank) -> list[int]:
    """The rule in plain Python: of each identity the place of the highest row, the first of equals."""
    placed = sorted(
        enumerate(listed), key=lambda item: (identity(item[1]), [-x for x in rank(item[1])], item[0])
    )
    return [next(group)[0] for _, group in groupby(placed, key=lambda item: identity(item[1]))]


@given(listed=rows, chunk=st.integers(1, 7))
def test_within_a_job_most_attempts_count_then_the_latest(listed, chunk) -> None:
    newest = newest_in_job(table(listed, chunk), ["key", "etag"])
    assert newest["place"].to_pylist() == best(listed, lambda row: row[:2], lambda row: row[2:])


@given(listed=rows, chunk=st.integers(1, 7))
def test_across_jobs_only_time_counts(listed, chunk) -> None:
    newest = newest_of_all_jobs(table(listed, chunk), ["key"])
    assert newest["place"].to_pylist() == best(listed, lambda row: row[0], lambda row: row[3:])


@given(listed=rows, chunk=st.integers(1, 7))
def test_a_rule_applied_twice_changes_nothing(listed, chunk) -> None:
    for rule in (newest_in_job, newest_of_all_jobs):
        once = rule(table(listed, chunk), ["key", "etag"])
        assert rule(once, ["key", "etag"]).equals(once)
        assert once.num_rows == len({row[:2] for row in listed})


def test_a_later_attempt_counts_although_its_clock_is_behind() -> None:
    both = table([("a", "x", 2, 100), ("a", "x", 1, 200)], 1)
    assert newest_in_job(both, ["key", "etag"])["attempts"].to_pylist() == [2]
    assert newest_of_all_jobs(both, ["key"])["attempts"].to_pylist() == [1]
