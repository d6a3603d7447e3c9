"""Process the masters of a shard with temporary files: download, colour in strips, upload.

Each pass downloads the source again, so that between stages a master needs only its key, like a small image.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.codecs.derivative import DerivativeMetadata, DerivativeReport, derive_file
from pipeline.codecs.in_memory import Skip
from pipeline.codecs.isolated.master import IsolatedMaster
from pipeline.codecs.metadata.c2pa_manifest import ManifestSigner
from pipeline.codecs.metadata.xmp import Provenance
from pipeline.color.real_colour import RealColour
from pipeline.config.job import JobConfig
from pipeline.config.output import DerivativeConfig
from pipeline.errors import AccessDenied, ObjectChanged, ObjectDamaged, ObjectMissing, RunError
from pipeline.plan.outputs import derivative_key, document_key, page_key
from pipeline.records import GRAY, Item
from pipeline.shard.delivered_files import DeliveredFile, file_columns
from pipeline.shard.finish import changes_beside, output_of, provenance_of
from pipeline.shard.gallery_thumbnails import thumbnail_side
from pipeline.shard.job import Job, SourceImage
from pipeline.shard.label import make_label
from pipeline.shard.master_colouring import (
    MasterInput,
    MasterSettings,
    WrittenMaster,
    joined_masters,
    reduce_master,
    write_pages,
)
from pipeline.shard.put import CONTENT_TYPES
from pipeline.storage import Store
from pipeline.storage.files import get_file
from pipeline.storage.temporary import temporary_folder


class SourceUnreadable(Exception):
    """The source is missing, changed, damaged or denied, as `reason` says. Not raised for errors of the
    output."""

    def __init__(self, reason: ObjectMissing | ObjectChanged | ObjectDamaged | AccessDenied) -> None:
        super().__init__(str(reason))
        self.reason = reason


_SUFFIXES = (".tif", ".tiff")
# limit of one pass over a master: the operating system cannot wait longer than 24 days
_LONGEST_SECONDS = 7.0 * 86400


def is_streamed(item: Item, config: JobConfig) -> bool:
    """Whether to read and write the object in strips, decided by its name and size."""
    is_tiff = config.output.format == "tiff" and item.key.lower().endswith(_SUFFIXES)
    return is_tiff and item.bytes >= config.limits.stream_bytes and item.failure_code is None


def prepare_master(store: Store, item: Item, config: JobConfig) -> tuple[MasterInput | Skip, str]:
    """The network's input for a master, or why it is skipped; and the source's SHA-256.

    Raises:
        ImageFailure: it cannot be read in strips. SourceUnreadable, StorageError: it cannot be fetched.
        RunError: no room for a temporary file.
    """
    with _downloaded(store, item) as (path, sha256), _opened(path, item, config) as master:
        return reduce_master(master, config.model), sha256


def finish_master(
    source: Store,
    out: Store,
    image: SourceImage,
    abs_: Sequence[NDArray[np.float32]],
    real_colours: Sequence[RealColour | None],
    job: Job,
    signer: ManifestSigner | None = None,
) -> tuple[WrittenMaster, dict[str, object], int]:
    """Colour a master, derive its second files, sign them if there is a signer, and upload them.

    Args:
        abs_: the chroma of each page, float32[2,h,w].
        real_colours: from `prepare_master`.

    Returns:
        What was measured, the ledger's columns on keys and SHA-256, and the bytes of the colour images.

    Raises: as `prepare_master`, and BadKey where the store cannot hold an output's name.
    """
    output, item = output_of(job.config.output, image), image.item
    config = job.config.model_copy(update={"output": output})
    if image.method == GRAY:
        real_colours = [None] * len(real_colours)
    with _downloaded(source, item) as (path, source_sha256), _opened(path, item, job.config) as master:
        provenance = provenance_of(job, image, source_sha256)
        finishing = _Finishing(path, out, config, provenance, signer, real_colours)
        count = len(master.infos)
        if count == 1 or not output.has_separate_pages:
            key = image.output_key if count == 1 else document_key(item.key, output)
            results = [finishing.one(key, master, range(count), abs_)]
        else:
            keys = [page_key(item.key, number, output) for number in range(1, count + 1)]
            results = [finishing.one(key, master, [page], abs_) for page, key in enumerate(keys)]
    columns = {"source_sha256": source_sha256, **file_columns([result.file for result in results])}
    written = joined_masters([result.written for result in results])
    return written, columns, sum(result.bytes for result in results)


@dataclass(frozen=True)
class _Result:
    """One colour image that was put, and its bytes."""

    written: WrittenMaster
    file: DeliveredFile
    bytes: int


@dataclass(frozen=True)
class _Finishing:
    """Makes and puts the colour images of one master, whose downloaded file is at `path`."""

    path: Path
    out: Store
    config: JobConfig
    provenance: Provenance
    signer: ManifestSigner | None
    real_colours: Sequence[RealColour | None]

    def one(
        self, key: str, master: IsolatedMaster, pages: Sequence[int], abs_: Sequence[NDArray[np.float32]]
    ) -> _Result:
        """The colour image of these pages, at this key. Its temporary files are gone afterwards."""
        target, output = self.path.with_name("output.tif"), self.config.output
        with on_disk(), target.open("w+b") as file:
            settings = MasterSettings(
                self.config.model,
                depth=8 if output.depth == 8 else None,
                compression=output.tiff_compression,
                label=lambda width, height: make_label(output.label, output.label_text, width, height),
                thumbnail=thumbnail_side(self.config),
            )
            chosen, reals = [abs_[page] for page in pages], [self.real_colours[page] for page in pages]
            written = write_pages(master, pages, file, chosen, self.provenance, settings, reals)
        second: tuple[str | None, str | None] = (None, None)
        if (second_key := derivative_key(key, output)) is not None:
            info = master.infos[pages[0]]
            derived, report = _derived(
                self.path,
                target,
                DerivativeMetadata(info.meta, written.icc, self.provenance),
                output.derivative,
                self.signer,
            )
            second = (second_key, sha256_of(derived))
            self.out.put_file(second_key, derived, CONTENT_TYPES[output.derivative.file_format])
            derived.unlink()
            known = (change.removeprefix("page 1: ") for change in written.metadata_changes)
            changes = changes_beside(report, known)
            written = replace(written, metadata_changes=(*written.metadata_changes, *changes))
        if self.signer is not None:
            target = _signed(self.path, target, self.signer, self.provenance, "tiff")
        delivered = DeliveredFile(key, sha256_of(target), *second)
        self.out.put_file(key, target, CONTENT_TYPES["tiff"])
        size = target.stat().st_size
        target.unlink()
        return _Result(written, delivered, size)


def _derived(
    source: Path,
    finished: Path,
    metadata: DerivativeMetadata,
    config: DerivativeConfig,
    signer: ManifestSigner | None,
) -> tuple[Path, DerivativeReport]:
    """The derivative of a finished file, beside it."""
    derived = finished.with_name(f"derivative.{config.file_format}")
    with on_disk():
        report = derive_file(finished, derived, metadata, config)
    if signer is not None and metadata.provenance is not None:
        given = (metadata.provenance, config.file_format)
        derived = _signed(source, derived, signer, *given, resized=report.resized)
    return derived, report


def _opened(path: Path, item: Item, config: JobConfig) -> IsolatedMaster:
    limits = config.limits
    seconds = min(limits.seconds * max(1.0, item.bytes / limits.stream_bytes), _LONGEST_SECONDS)
    return IsolatedMaster(path, pixels=limits.pixels, memory=limits.memory, seconds=seconds)


@contextmanager
def _downloaded(store: Store, item: Item) -> Iterator[tuple[Path, str]]:
    with ExitStack() as stack:
        with on_disk():
            path = stack.enter_context(temporary_folder()) / "source.tif"
        try:
            with on_disk():
                saved = get_file(store, item.key, path, if_etag=item.etag, size=item.bytes)
        except (ObjectMissing, ObjectChanged, ObjectDamaged, AccessDenied) as error:
            raise SourceUnreadable(error) from None
        yield path, saved.sha256


@contextmanager
def on_disk() -> Iterator[None]:
    """Raises RunError where a temporary file cannot be written in the block."""
    try:
        yield
    except OSError as error:
        place = tempfile.gettempdir()
        raise RunError(
            f"cannot write a temporary file in {place}: {error.strerror}; set TMPDIR to a disk with room"
        ) from None


def _signed(
    source: Path,
    target: Path,
    signer: ManifestSigner,
    provenance: Provenance,
    format_: str,
    *,
    resized: bool = False,
) -> Path:
    signed = target.with_name(f"signed-{target.name}")
    with on_disk(), source.open("rb") as before, target.open("rb") as file, signed.open("w+b") as to:
        signer.sign_file(file, before, to, format_, provenance, resized=resized)
    target.unlink()
    return signed


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
