"""Check what a user may have got wrong before importing torch and Ray, which takes seconds.

Used by the commands that need torch or Ray; `run.checks` does the same for colorize. Each command calls
`check_early` after it has loaded its configuration and before its work. The work checks its arguments again,
because it has other callers too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.config.storage import StorageConfig
from pipeline.evaluate.photograph_list import open_input
from pipeline.models.names import check_names
from pipeline.models.registry_entries import registry_name
from pipeline.storage import open_store, refuse_overlap


def check_early(
    storage: StorageConfig,
    *,
    reads: Iterable[str | None] = (),
    writes: str | None = None,
    own: Sequence[str] = (),
    weights: Iterable[str | None] = (),
    registry: str | None = None,
) -> None:
    """Refuse places and names that the work could not use. Writes nothing and creates no folder.

    Args:
        reads: folders, buckets or Parquet files of photographs; None for an option that was not given.
        writes: a folder or bucket for results, outside all inputs.
        own: the folders below `writes` that the work writes to; empty: all of it.
        weights: names of shipped weights, paths or URIs; None for an option that was not given.
        registry: REGISTRY/NAME.

    Raises:
        ConfigError: a place does not exist, or places overlap. WeightsError: no such weights.
        StorageError: a place cannot be read or written.
    """
    if registry is not None:
        registry_name(registry)
    given = [uri for uri in reads if uri is not None]
    for uri in given if writes is not None else ():
        refuse_overlap(uri, str(writes), own)
    for uri in given:
        open_input(uri, storage)
    for name in weights:
        if name is not None:
            check_names(None, name)
    if writes is not None:
        open_store(writes, storage).check_writable(make=False)
