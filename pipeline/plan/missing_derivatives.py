"""Finished images that need only their second file: their settings differ only in `output.derivative`.

The job digest covers the settings of second files, so a run that changes them finds an empty ledger. No
network is needed if the image itself is lossless, current, and made with the present weights, settings and
guide.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml
from numpy.typing import NDArray

from pipeline.config.job import JobConfig, job_digest
from pipeline.config.output import DerivativeConfig
from pipeline.errors import ObjectMissing
from pipeline.ledger.keys import config_key, job_digest_of
from pipeline.ledger.newest import newest_of_all_jobs
from pipeline.ledger.read import list_parts, map_parts, read_part
from pipeline.plan.guide_types import ItemGuide
from pipeline.plan.identities import IdentitySet, hash_keys
from pipeline.records import Status
from pipeline.storage import Store

#: Formats that are written without loss, and that libvips reads.
_LOSSLESS = ("tiff", "png")
_COLUMNS = ("key", "etag", "status", "finished_at", "guide_digest")
_SAY_WHAT_STANDS = pa.array([str(Status.COLORIZED), str(Status.REJECTED), str(Status.SUPERSEDED)])


@dataclass(frozen=True)
class FinishedImages:
    """Images that need only a second file: their identities, ascending, and the ledger part of each.

    parts: keys below OUT; part_of: of each identity an index into these; guides: by identity the digest of
    the guide that the image was made with, where it had one.
    """

    identities: IdentitySet
    parts: tuple[str, ...]
    part_of: NDArray[np.int32]
    guides: Mapping[int, str]

    def among(
        self, hashes: NDArray[np.int64], statuses: NDArray[np.int8], wanted: Mapping[int, ItemGuide]
    ) -> dict[int, str]:
        """By index, the ledger part of each object that is not done and needs only a second file.

        Args:
            hashes: identities of the objects. statuses: of each; -1: not done.
            wanted: by index the guides that objects have now.
        """
        at = self.identities.positions(hashes)
        found = np.flatnonzero((at >= 0) & (statuses < 0)).tolist()
        digests = {index: guide.digest for index, guide in wanted.items()}
        same = (i for i in found if self.guides.get(int(hashes[i])) == digests.get(i))
        return {i: self.parts[self.part_of[at[i]]] for i in same}


NONE = FinishedImages(IdentitySet(np.empty(0, np.int64)), (), np.empty(0, np.int32), {})


def read_finished(out: Store, config: JobConfig, digest: str) -> FinishedImages:
    """The finished images of ledgers whose settings differ from `config` only in the second file.

    Empty if the image format is lossy, or if second files are signed: their manifest names the scan as the
    parent, so the scan must be read.

    Args:
        digest: the present job digest.

    Raises:
        DamagedLedgerPart: a part is damaged. StorageError: the ledgers cannot be listed, or a part not read.
    """
    if config.output.format not in _LOSSLESS or config.output.c2pa.certificates is not None:
        return NONE
    ledgers: dict[str, list[str]] = defaultdict(list)
    for key in list_parts(out):
        ledgers[job_digest_of(key)].append(key)
    own = {one for one, keys in ledgers.items() if one != digest and _differs(out, config, digest, one, keys)}
    if not own:
        return NONE
    parts = [key for keys in ledgers.values() for key in keys]
    numbers = {key: number for number, key in enumerate(parts)}
    rows = pa.concat_tables(map_parts(partial(_part_rows, out, numbers), parts))
    # the row finished last tells whether a file is current or removed; a failed run changed no file
    newest = newest_of_all_jobs(rows, ["identity"])
    is_own = np.array([job_digest_of(key) in own for key in parts])
    stands = newest.filter(
        pa.array(is_own[newest["part"].to_numpy()] & newest["colorized"].to_numpy().astype(bool))
    )
    guided = stands.filter(pc.is_valid(stands["guide_digest"]))
    return FinishedImages(
        IdentitySet(stands["identity"].to_numpy()),
        tuple(parts),
        stands["part"].to_numpy(),
        dict(zip(guided["identity"].to_pylist(), guided["guide_digest"].to_pylist(), strict=True)),
    )


def _part_rows(out: Store, numbers: Mapping[str, int], key: str) -> pa.Table:
    """The rows of a ledger part that affect the current result, with the number of the part."""
    table = read_part(out, key, _COLUMNS)
    table = table.filter(pc.is_in(table["status"], value_set=_SAY_WHAT_STANDS))
    columns = {
        "identity": pa.array(hash_keys(table["key"].to_pylist(), table["etag"].to_pylist())),
        "finished_at": table["finished_at"].cast(pa.int64()),
        "guide_digest": table["guide_digest"],
        "colorized": pc.equal(table["status"], str(Status.COLORIZED)).cast(pa.int8()),
        "part": pa.array(np.full(table.num_rows, numbers[key], np.int32)),
    }
    return pa.table(columns)


def _differs(out: Store, config: JobConfig, digest: str, other: str, parts: Iterable[str]) -> bool:
    """Whether the ledger `other` has these weights and settings, except those of the second file."""
    for key in parts:
        table = read_part(out, key, ("method", "weights_digest", "run_id"))
        made = {(row["method"], row["weights_digest"]): row["run_id"] for row in table.to_pylist()}
        for (method, weights), run_id in made.items():
            # a guide may name another method; use a row with the job's own
            if method == config.model.method and job_digest(config, weights) == digest:
                return any(_digest(config, one, weights) == other for one in _candidates(out, run_id))
    return False


def _digest(config: JobConfig, derivative: DerivativeConfig, weights: str) -> str:
    output = config.output.model_copy(update={"derivative": derivative})
    return job_digest(config.model_copy(update={"output": output}), weights)


def _candidates(out: Store, run_id: str) -> Iterable[DerivativeConfig]:
    """Second-file settings that the ledger may have used: none, or those saved by its run."""
    yield DerivativeConfig()
    try:
        kept = yaml.safe_load(out.get(config_key(run_id)).data)
        yield DerivativeConfig(**kept["output"]["derivative"])
    except (ObjectMissing, ValueError, TypeError, KeyError, yaml.YAMLError):
        return  # the run's folder is gone or its settings are no longer valid: treat the images as new
