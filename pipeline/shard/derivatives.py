"""Make second files from finished images, without a network, when only `output.derivative` has changed.

The plan names for such an item the ledger part with the row of its finished image
(`pipeline.plan.missing_derivatives`). The delivered image is read and must have the bytes recorded in the
row. It is lossless, so the second file has the same pixels as in a run that colours.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.codecs.derivative import derive_file, metadata_of
from pipeline.errors import AccessDenied, ImageFailure, ObjectChanged, ObjectDamaged, ObjectMissing
from pipeline.ledger.keys import IMAGES
from pipeline.ledger.newest import newest_in_job
from pipeline.ledger.read import read_part
from pipeline.ledger.schema import LedgerRow
from pipeline.plan.outputs import derivative_key
from pipeline.records import Item, Status
from pipeline.shard.delivered_files import DeliveredFile, file_columns
from pipeline.shard.finish import changes_beside
from pipeline.shard.job import Job, SourceImage
from pipeline.shard.masters import on_disk, sha256_of
from pipeline.shard.page_rows import joined_changes
from pipeline.shard.put import CONTENT_TYPES
from pipeline.shard.rows import Rows
from pipeline.storage import Store
from pipeline.storage.files import get_file
from pipeline.storage.temporary import temporary_folder

Report = Callable[[Sequence[LedgerRow]], object]
_UNUSABLE = (ObjectMissing, ObjectChanged, ObjectDamaged, AccessDenied, ImageFailure)
_OF_SECOND = "derivative: "
_PARTS = 2  # cached ledger parts: neighbouring images share a part


class SecondFiles:
    """Makes and puts the second files of one worker process."""

    def __init__(self, job: Job, out: Store, rows: Rows) -> None:
        self.job, self.out, self.rows = job, out, rows
        self._part = lru_cache(_PARTS)(lambda key: read_part(out, key))

    def rows_of(
        self, images: Iterable[SourceImage], report: Report | None = None
    ) -> tuple[list[LedgerRow], list[SourceImage]]:
        """The rows of images whose second file was made here, and the images that must be coloured.

        If the finished image has changed or cannot be read, the image is coloured again, and its row says
        why.

        Args:
            report: called with the rows after each image.
        """
        done, others = list[LedgerRow](), list[SourceImage]()
        for image in images:
            outcome = image if image.item.finished is None else self._of_one(image, image.item.finished)
            if isinstance(outcome, LedgerRow):
                done.append(outcome)
                if report is not None:
                    report(done)
            else:
                others.append(outcome)
        return done, others

    def tried(self, image: SourceImage, part: str) -> None:
        """Make the second files of one image without keeping them, to measure the time.

        Raises:
            ImageFailure, StorageError: as its run would fail.
        """
        self._made(image, self._row(image.item, part), keep=False)

    def _of_one(self, image: SourceImage, part: str) -> LedgerRow | SourceImage:
        try:
            return self._made(image, self._row(image.item, part))
        except _UNUSABLE as error:
            return replace(image, note=f"coloured again, because its finished image cannot be used: {error}")
        except Exception as error:
            return self.rows.of_error(image, error)

    def _row(self, item: Item, part: str) -> LedgerRow:
        """The row of the finished image. Raises ObjectMissing where the part lacks it."""
        table = self._part(part)
        same = pc.and_(pc.equal(table["key"], item.key), pc.equal(table["etag"], item.etag))
        found = newest_in_job(pa.table(table.filter(same)), ["key"]).to_pylist()
        if not found or found[0]["status"] != Status.COLORIZED:
            raise ObjectMissing(f"{part} has no row for it")
        return LedgerRow(**{**found[0], "status": Status.COLORIZED})

    def _made(self, image: SourceImage, row: LedgerRow, keep: bool = True) -> LedgerRow:
        """The row of this run, once all second files are put, if they are to be kept."""
        start = time.perf_counter()
        further = zip(row.further_keys or (), row.further_sha256 or (), strict=True)
        firsts = [(key, sha256) for key, sha256 in further if key.startswith(IMAGES)]
        finished = [(str(row.output_key), row.output_sha256), *firsts]
        made = [self._put(key, sha256, keep) for key, sha256 in finished]
        files = [file for file, _ in made]
        changes = joined_changes(of_one for _, of_one in made) if firsts else made[0][1]
        known = [change for change in row.metadata_changes or () if _OF_SECOND not in change]
        columns = {"further_keys": None, "further_sha256": None, **file_columns(files)}
        return replace(
            row,
            **columns,  # type: ignore[arg-type]
            metadata_changes=[*known, *changes],
            attempts=image.item.attempts + 1,
            job_digest=self.job.job_digest,
            run_id=self.job.run_id,
            seconds_decode=None,
            seconds_predict=None,
            seconds_compose=time.perf_counter() - start,
            finished_at=self.job.time_of_row(),
        )

    def _put(self, key: str, sha256: str | None, keep: bool) -> tuple[DeliveredFile, tuple[str, ...]]:
        """One finished image with its second file, and what of the metadata only that one lacks.

        Raises:
            ObjectChanged: it is not the bytes that the ledger names. Others as `get_file`, `derive_file`.
        """
        output = self.job.config.output
        second_key = derivative_key(key, output)
        with on_disk(), temporary_folder() as folder:
            finished, second = folder / "finished", folder / "second"
            if get_file(self.out, key, finished).sha256 != sha256:
                raise ObjectChanged(f"the bytes of {key} differ from the ledger")
            if second_key is None:
                return DeliveredFile(key, str(sha256)), ()
            report = derive_file(finished, second, metadata_of(finished), output.derivative)
            digest = sha256_of(second)
            if keep:
                self.out.put_file(second_key, second, CONTENT_TYPES[output.derivative.file_format])
        return DeliveredFile(key, str(sha256), second_key, digest), changes_beside(report, ())
