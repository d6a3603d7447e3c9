"""Which run folders stay: ledger and images are the record, the reports of old runs are not."""

from __future__ import annotations

import re
from collections import defaultdict

from pipeline.report import summary_key
from pipeline.storage import Store

_RUN_ID = re.compile(
    r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{4}"
)  # of `pipeline.run.colorize`; verification has other names


def drop_old_runs(out: Store, keep: int) -> list[str]:
    """Delete the folders `runs/<run id>` of all finished runs but the newest `keep`.

    A run is finished when it has its summary; others are at work, or tell of what stopped them, and stay. The
    summary goes last, so that a deletion that was cut off is taken up by the next run.

    Returns:
        The run ids that are gone, oldest first.

    Raises:
        StorageError: something may not be listed or deleted.
    """
    keys: dict[str, list[str]] = defaultdict(list)
    for found in out.list("runs/"):
        run_id, slash, _ = found.key.removeprefix("runs/").partition("/")
        if slash and _RUN_ID.fullmatch(run_id):
            keys[run_id].append(found.key)
    finished = sorted(run_id for run_id, below in keys.items() if summary_key(run_id) in below)
    old = finished[:-keep]
    for run_id in old:
        for key in sorted(keys[run_id], key=lambda key: key == summary_key(run_id)):
            out.delete(key)
        out.drop_empty_folders(f"runs/{run_id}")
    return old
