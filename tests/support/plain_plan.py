"""A plan in plain lists: the reference for the columns of `pipeline.plan`."""

from __future__ import annotations

import hashlib
import io
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.config.job import PlanConfig
from pipeline.config.output import OutputConfig
from pipeline.errors import BadKey, FailureCode
from pipeline.plan.identities import hash_texts
from pipeline.plan.outputs import added_text, derivative_key, is_folder_marker, output_key
from pipeline.plan.refusals import Refusal
from pipeline.plan.shards import Shard
from pipeline.records import PLAN_SCHEMA, Item
from pipeline.storage import check_key


@dataclass(frozen=True)
class ItemList:
    """Items with the interface of `pipeline.plan.shards.Items`."""

    items: list[Item]

    @property
    def sizes(self) -> NDArray[np.int64]:
        return np.array([item.bytes for item in self.items], np.int64)

    def take(self, indices: NDArray[np.int64]) -> list[Item]:
        return [self.items[i] for i in indices.tolist()]


def plain_cut(items: list[Item], job_digest: str, config: PlanConfig, workers: int) -> list[Shard]:
    """Like `cut`."""
    least = min(4, max(1, -(-len(items) // workers)))
    most = min(config.shard_images, max(least, -(-len(items) // (4 * workers))))
    return [_shard(part, job_digest) for part in _portions(items, most, config.shard_bytes)]


def plain_plan_bytes(shards: Sequence[Shard], row_group: int) -> bytes:
    """The plan's file, with this many shards in a row group."""
    rows = [asdict(shard) for shard in shards]
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, PLAN_SCHEMA, compression="zstd") as writer:
        for start in range(0, len(rows), row_group):
            batch = pa.RecordBatch.from_pylist(rows[start : start + row_group], schema=PLAN_SCHEMA)
            writer.write_batch(batch)
    return buffer.getvalue()


def _portions(items: list[Item], most_items: int, most_bytes: int) -> Iterator[list[Item]]:
    portion: list[Item] = []
    size = 0
    for item in items:
        if item.bytes > most_bytes:
            yield [item]
            continue
        if portion and (len(portion) == most_items or size + item.bytes > most_bytes):
            yield portion
            portion, size = [], 0
        portion.append(item)
        size += item.bytes
    if portion:
        yield portion


def _shard(items: list[Item], job_digest: str) -> Shard:
    digest = hashlib.sha256(job_digest.encode())
    for item in items:
        digest.update(f"\n{item.key}\0{item.etag}\0{item.attempts}".encode())
        if item.guide_digest is not None:
            digest.update(f"\0{item.guide_digest}".encode())
    return Shard(digest.hexdigest()[:16], sum(item.bytes for item in items), items)


def plain_refusals(
    keys: Sequence[str],
    output: OutputConfig,
    finished: NDArray[np.bool_],
    comparable: Callable[[str], str] = str,
) -> dict[int, Refusal]:
    """Like `find_refusals`."""
    outputs = [output_key(key, output) for key in keys]
    refusals: dict[int, Refusal] = {}
    _refuse(keys, outputs, finished, refusals, comparable)
    if output.derivative.format != "none":
        seconds = [str(derivative_key(result, output)) for result in outputs]
        _refuse(keys, seconds, finished, refusals, comparable)
    _refuse_among_pages(keys, outputs, output, finished, refusals)
    return refusals


def _refuse_among_pages(
    keys: Sequence[str],
    outputs: Sequence[str],
    output: OutputConfig,
    finished: NDArray[np.bool_],
    refusals: dict[int, Refusal],
) -> None:
    """Refuse results named like pages of another source: only buckets hold an object and others below it."""
    page = re.compile(rf"page-\d{{4,}}{re.escape(added_text(output))}\.[a-z0-9]+")
    for index, (key, result) in enumerate(zip(keys, outputs, strict=True)):
        source, _, name = key.rpartition("/")
        if name != "pages.tif" and page.fullmatch(result.rpartition("/")[2]) is None:
            continue
        at = bisect_left(keys, source)
        if at == len(keys) or keys[at] != source:
            continue
        loser, other = (at, index) if finished[index] and not finished[at] else (index, at)
        message = f"its result would collide with a page of {keys[other]!r}; rename it"
        refusals.setdefault(loser, Refusal(FailureCode.OUTPUT_COLLISION, message))


def _refuse(
    keys: Sequence[str],
    outputs: Sequence[str],
    finished: NDArray[np.bool_],
    refusals: dict[int, Refusal],
    comparable: Callable[[str], str],
) -> None:
    """Refuse results that cannot have their name in `outputs`, among those not refused yet."""
    _refuse_bad(keys, outputs, refusals)
    owners = np.array(
        [i for i in range(len(keys)) if i not in refusals and not is_folder_marker(keys[i])], int
    )
    hashes = hash_texts(comparable(outputs[i]).encode() for i in owners.tolist())
    # by output; within one output the finished first, then key order
    order = np.lexsort((owners, ~finished[owners], hashes))
    owners, hashes = owners[order], hashes[order]
    _refuse_equal(keys, outputs, owners, hashes, refusals)
    _refuse_nested(keys, outputs, owners, hashes, finished, refusals, comparable)


def _refuse_bad(keys: Sequence[str], outputs: Sequence[str], refusals: dict[int, Refusal]) -> None:
    for index, output in enumerate(outputs):
        try:
            if not is_folder_marker(keys[index]):
                check_key(output)
        except BadKey as error:
            refusals.setdefault(index, Refusal(FailureCode.BAD_KEY, str(error)))


def _refuse_equal(
    keys: Sequence[str],
    outputs: Sequence[str],
    owners: NDArray[np.int64],
    hashes: NDArray[np.int64],
    refusals: dict[int, Refusal],
) -> None:
    """Refuse equal names. `owners` are sorted by `hashes`, the hashes of their outputs: of equal ones, the
    first keeps the name."""
    first = 0
    for at in (np.flatnonzero(hashes[1:] == hashes[:-1]) + 1).tolist():
        if hashes[at] != hashes[first]:
            first = at - 1
        owner = int(owners[first])
        refusals[int(owners[at])] = Refusal(
            FailureCode.OUTPUT_COLLISION,
            f"its result would overwrite {outputs[owner]!r}, result of {keys[owner]!r}; rename one of them",
        )


def _refuse_nested(
    keys: Sequence[str],
    outputs: Sequence[str],
    owners: NDArray[np.int64],
    hashes: NDArray[np.int64],
    finished: NDArray[np.bool_],
    refusals: dict[int, Refusal],
    comparable: Callable[[str], str],
) -> None:
    """Refuse a result that is a file and the folder of other results: S3 can hold both, a folder cannot."""
    folders = sorted(_folders(outputs[i] for i in owners.tolist()))
    folder_hashes = hash_texts(comparable(folder).encode() for folder in folders)
    for at in np.flatnonzero(np.isin(folder_hashes, hashes)).tolist():
        file = int(owners[np.searchsorted(hashes, folder_hashes[at])])
        start = folders[at].partition("/")[2] + "/"
        # "0" follows "/": all keys below the folder stand between the two
        span = range(bisect_left(keys, start), bisect_left(keys, start[:-1] + "0"))
        below = [i for i in span if not is_folder_marker(keys[i])]
        refused = [file] if finished[below].any() and not finished[file] else below
        for index in refused:
            refusals.setdefault(
                index,
                Refusal(
                    FailureCode.OUTPUT_COLLISION,
                    f"{folders[at]!r} would be both a result and a folder; rename {keys[file]!r}",
                ),
            )


def _folders(keys: Iterable[str]) -> set[str]:
    """All folders above the keys."""
    folders: set[str] = set()
    for key in keys:
        folder = key.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return folders
