"""Delete the folders of old runs. The ledger and the images are the record; reports of old runs are not."""

from __future__ import annotations

from collections import defaultdict

from pipeline.cli.run_id import COLORING_RUN_ID
from pipeline.ledger.keys import RUNS, run_folder, run_id_of, summary_key
from pipeline.storage import Store


def drop_old_runs(out: Store, keep: int) -> list[str]:
    """Delete the folders `runs/<run id>` of all finished runs but the newest `keep`.

    A run with a summary is finished. Folders of other runs stay: those runs still work, or the folder shows
    what stopped them. The summary is deleted last, so that the next run continues an interrupted deletion.

    Returns:
        The deleted run ids, oldest first.

    Raises:
        StorageError: something may not be listed or deleted.
    """
    keys: dict[str, list[str]] = defaultdict(list)
    for listed in out.list(RUNS):
        run_id = run_id_of(listed.key)
        if run_id is not None and COLORING_RUN_ID.fullmatch(run_id):
            keys[run_id].append(listed.key)
    finished = sorted(run_id for run_id, below in keys.items() if summary_key(run_id) in below)
    old = finished[:-keep]
    for run_id in old:
        for key in sorted(keys[run_id], key=lambda key: key == summary_key(run_id)):
            out.delete(key)
        out.drop_empty_folders(run_folder(run_id).rstrip("/"))
    return old
