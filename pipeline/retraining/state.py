"""The state of retraining cycles in a folder or bucket, from which the next cycle continues.

photos/photos-00000.parquet ...   training rows of all cycles
runs/cycle-000001/                of Ray Train; its checkpoints go when the cycle ends
cycles/000001/taken.parquet       identities of the objects that this cycle read
cycles/000001/cycle.json          written once, after the rows: this cycle has begun
cycles/000001/weights.safetensors, evaluation/, decision.md
cycles/000001/outcome.json        written last: this cycle has ended
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.config.storage import StorageConfig
from pipeline.errors import StorageError
from pipeline.photographs.prepare import EarlierRows
from pipeline.photographs.rows import list_parts, read_parts, remove_later_parts
from pipeline.plan.identities import IdentitySet, hash_keys
from pipeline.storage import ObjectInfo, Store, open_store

FOLDERS = ("photos", "runs", "cycles")
_FILE = re.compile(r"cycles/([0-9]{6})/(cycle|outcome)\.json")


@dataclass(frozen=True)
class Cycle:
    """A cycle that has begun. `champion`: URI of the weights it starts from, with `#sha256=`; `parts`: files
    of training rows up to and with its own; `photographs`: rows that it added."""

    number: int
    champion: str
    parts: int
    photographs: int

    @property
    def name(self) -> str:
        return f"cycle-{self.number:06d}"

    @property
    def folder(self) -> str:
        return f"cycles/{self.number:06d}"


class CycleFolder:
    """The output of `jobs/retrain.py`: `store` is all of it, `rows` the training rows in it, `runs` the URI
    for Ray Train. Methods raise StorageError as the store does."""

    def __init__(self, uri: str, storage: StorageConfig) -> None:
        self.uri = uri.rstrip("/")
        self.runs = f"{self.uri}/runs"
        self.store: Store = open_store(uri, storage)
        self.rows: Store = open_store(f"{self.uri}/photos", storage)

    def unfinished(self) -> Cycle | None:
        """The newest cycle, if it has begun and not ended."""
        begun, ended = self._numbers()
        return self._read(begun[-1]) if begun and begun[-1] not in ended else None

    def next_number(self) -> int:
        """The number of the next cycle."""
        begun, _ = self._numbers()
        return begun[-1] + 1 if begun else 1

    def earlier(self) -> EarlierRows:
        """For `prepare_into`: the rows that earlier cycles added, and which objects none of them read."""
        begun, _ = self._numbers()
        if not begun:
            return EarlierRows()
        parts = self._read(begun[-1]).parts
        earlier = IdentitySet(np.unique(np.concatenate([self._identities(number) for number in begun])))
        table = read_parts(self.rows, list_parts(self.rows)[:parts], ["sha256", "phash"])
        known = zip(table["sha256"].to_pylist(), table["phash"].to_pylist(), strict=True)
        return EarlierRows(parts, tuple(known), partial(_is_new, earlier))

    def keep_rows(self, parts: int) -> None:
        """Delete the files of training rows but the first `parts`."""
        remove_later_parts(self.rows, parts)

    def begin(self, cycle: Cycle, objects: Iterable[tuple[Store, ObjectInfo]]) -> None:
        """Record that the cycle has begun with these objects; its rows must be written already.

        Raises AlreadyExists where another process has begun it.
        """
        buffer = io.BytesIO()
        identities = np.sort(_identities(objects))
        pq.write_table(pa.table({"identity": identities}), buffer, compression="zstd")
        self.store.put(f"{cycle.folder}/taken.parquet", buffer.getvalue())
        data = json.dumps(asdict(cycle), indent=2).encode()
        self.store.put_if_absent(f"{cycle.folder}/cycle.json", data, "application/json")

    def end(self, cycle: Cycle, status: int, decision: str) -> None:
        """Record how the cycle ended, and delete its checkpoints, for its weights are exported."""
        self.store.put(f"{cycle.folder}/decision.md", decision.encode(), "text/markdown")
        for info in list(self.store.list(f"runs/{cycle.name}/checkpoint_")):
            self.store.delete(info.key)
        self.store.drop_empty_folders(f"runs/{cycle.name}")
        outcome = json.dumps({"exit_status": status}).encode()
        self.store.put(f"{cycle.folder}/outcome.json", outcome, "application/json")

    def _numbers(self) -> tuple[list[int], list[int]]:
        """The numbers of the cycles that have begun, and of those that have ended, ascending."""
        matches = [match for info in self.store.list("cycles/") if (match := _FILE.fullmatch(info.key))]
        begun, ended = (
            sorted(int(match[1]) for match in matches if match[2] == which) for which in ("cycle", "outcome")
        )
        return begun, ended

    def _read(self, number: int) -> Cycle:
        key = f"cycles/{number:06d}/cycle.json"
        try:
            return Cycle(**json.loads(self.store.get(key).data))
        except (ValueError, TypeError):
            raise StorageError(f"{self.store.uri}/{key} is damaged; restore it") from None

    def _identities(self, number: int) -> NDArray[np.int64]:
        key = f"cycles/{number:06d}/taken.parquet"
        data = self.store.get(key).data
        try:
            return np.asarray(pq.read_table(io.BytesIO(data))["identity"].to_numpy(), np.int64)
        except (pa.ArrowException, KeyError):
            raise StorageError(f"{self.store.uri}/{key} is damaged; restore it") from None


def _identities(objects: Iterable[tuple[Store, ObjectInfo]]) -> NDArray[np.int64]:
    pairs = [(f"{store.uri}/{info.key}", info.etag) for store, info in objects]
    return hash_keys((name for name, _ in pairs), (etag for _, etag in pairs))


def _is_new(earlier: IdentitySet, store: Store, info: ObjectInfo) -> bool:
    return not earlier.contains(_identities([(store, info)]))[0]
