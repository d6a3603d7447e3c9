"""What faults cost a run: images that are lost, doubled or false, and work that was repeated.

Everything is counted from outside: files, ledger parts, and the kernel's events for written files.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pipeline.config.storage import StorageConfig
from pipeline.records import Status
from tests.support.job_runner import image_digests, lasting, ledger

_IN_MOVED_TO, _IN_NONBLOCK = 0x80, 0o4000  # linux/inotify.h
_EVENT = struct.Struct("iIII")


@dataclass
class Toll:
    """The cost of one run or of many.

    Attributes:
        runs: how often the job's command ran, until the last run succeeded.
        lost: sources without a coloured row, or whose row names no file.
        doubled: rows beyond one for each source, and files that no row names.
        false: files and rows that differ from those of an undisturbed run.
        repeated: extra writes of images, beyond one for each image.
        left: our processes and temporary files that still exist; None if nobody looked.
        seconds: from the first start to the end of the run that finished.
    """

    runs: int = 0
    lost: int = 0
    doubled: int = 0
    false: int = 0
    repeated: int = 0
    left: int | None = None
    seconds: float = 0.0

    def __add__(self, other: Toll) -> Toll:
        counts = {one.name: getattr(self, one.name) + getattr(other, one.name) for one in _COUNTS}
        looked = [cost.left for cost in (self, other) if cost.left is not None]
        return Toll(**counts, left=sum(looked) if looked else None)

    @property
    def is_wrong(self) -> bool:
        """Whether there is an error; repeated work is not an error."""
        return bool(self.lost or self.doubled or self.false or self.left)


_COUNTS = [one for one in fields(Toll) if one.name != "left"]


@dataclass(frozen=True)
class Delivered:
    """What is below OUT: SHA-256 by image key, and the ledger's rows without what differs by run."""

    images: Mapping[str, str]
    rows: list[dict[str, Any]]

    @classmethod
    def of(cls, uri: str, storage: StorageConfig | None = None) -> Delivered:
        """Read everything. A failed row before a later coloured row does not count: it was retried."""
        rows = ledger(uri, storage)
        coloured = {row["key"] for row in rows if row["status"] == Status.COLORIZED}
        kept = [row for row in rows if row["status"] == Status.COLORIZED or row["key"] not in coloured]
        return cls(image_digests(uri, storage), lasting(kept))


def toll(here: Delivered, wanted: Delivered) -> Toll:
    """Compare the results with those of an undisturbed run on the same sources."""
    by_key = {row["key"]: row for row in here.rows}
    named = {row["output_key"] for row in here.rows}
    there = {row["key"]: row for row in wanted.rows}
    lost = sum(
        key not in by_key or by_key[key]["output_key"] not in here.images
        for key, row in there.items()
        if row["status"] == Status.COLORIZED
    )
    twice = sum(n - 1 for n in Counter(row["key"] for row in here.rows).values())
    false = sum(wanted.images.get(key) != digest for key, digest in here.images.items())
    false += sum(there.get(key) != row for key, row in by_key.items())
    return Toll(lost=lost, doubled=twice + len(here.images.keys() - named), false=false)


class Puts:
    """Counts the images that are written into a folder, from the kernel's events (inotify, Linux)."""

    def __init__(self, folder: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(_IN_NONBLOCK)
        watch = self._libc.inotify_add_watch(self._descriptor, os.fsencode(folder), _IN_MOVED_TO)
        if self._descriptor < 0 or watch < 0:
            raise OSError(ctypes.get_errno(), "inotify")

    def names(self) -> list[str]:
        """Names of all files that were renamed into the folder since the last call. Keeps watching."""
        names, data = list[str](), self._read()
        while data:
            _, _, _, length = _EVENT.unpack_from(data)
            names.append(os.fsdecode(data[_EVENT.size : _EVENT.size + length].rstrip(b"\0")))
            data = data[_EVENT.size + length :]
        return names

    def _read(self) -> bytes:
        data = b""
        while True:
            try:
                data += os.read(self._descriptor, 2**16)
            except BlockingIOError:
                return data

    def close(self) -> None:
        """Stop watching."""
        os.close(self._descriptor)


def table(faults: Mapping[str, int], cost: Toll) -> str:
    """A Markdown table: how often each fault occurred, and what all faults together cost."""
    lines = [
        "| fault | times | runs | lost | doubled | false | coloured again | left behind | seconds |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
        *(f"| {name} | {times:,} | | | | | | | |" for name, times in sorted(faults.items())),
    ]
    counts = (cost.runs, cost.lost, cost.doubled, cost.false, cost.repeated, cost.left)
    cells = " | ".join("" if n is None else f"{n:,}" for n in (sum(faults.values()), *counts))
    return "\n".join([*lines, f"| all | {cells} | {cost.seconds:,.0f} |"])
