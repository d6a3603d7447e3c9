"""What a user may have mistaken, looked at before torch and Ray are imported, which takes seconds.

For the commands that need these; `run.checks` has colorize's. Each command calls `look` between its
configuration and its work. The work checks again what it was given, for it has other callers too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.config.storage import StorageConfig
from pipeline.evaluate.photograph_list import open_input
from pipeline.models.method_names import check_names
from pipeline.models.registry_entries import registry_name
from pipeline.storage import open_store, refuse_overlap


def look(
    storage: StorageConfig,
    *,
    reads: Iterable[str | None] = (),
    writes: str | None = None,
    own: Sequence[str] = (),
    weights: Iterable[str | None] = (),
    registry: str | None = None,
) -> None:
    """Refuse places and names that the work could not use. Writes nothing, and makes no missing folder.

    Args:
        reads: folders, buckets or Parquet files of photographs; None: one that was not given.
        writes: a folder or bucket for results, outside of all that is read.
        own: the folders below it that are written to; none: all of it.
        weights: names that ship, paths or URIs; None: one that was not given.
        registry: REGISTRY/NAME.

    Raises:
        ConfigError: a place that is none, or places that overlap. WeightsError: no such weights.
        StorageError: a place cannot be read, or nothing can be written there.
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
