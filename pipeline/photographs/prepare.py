"""Turn folders or buckets of colour photographs into training Parquet, and count what is left out."""

from __future__ import annotations

import hashlib
import io
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pipeline.codecs.opened import opened_picture
from pipeline.color.spaces import srgb_to_lab
from pipeline.errors import ConfigError
from pipeline.photographs.candidates import Candidate, Selector, candidates, everything
from pipeline.photographs.duplicates import Duplicates, difference_hash
from pipeline.photographs.rows import remove_later_parts, write_part
from pipeline.photographs.settings import PhotosConfig, PrepareConfig
from pipeline.photographs.shuffling import RowShuffler
from pipeline.plan.patterns import Patterns
from pipeline.storage import Store, open_store, refuse_overlap
from pipeline.storage.base import printable

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif")
PROGRESS_SECONDS = 5.0
MEASURED_SIDE = 96
"""Chroma is measured on a thumbnail of this longest side: its mean does not change with size."""


@dataclass
class Preparation:
    """The result: rows by split, photographs left out by reason, the names of the unreadable ones, and the
    number of Parquet files at the output."""

    kept: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)
    parts: int = 0

    @property
    def photographs(self) -> int:
        """How many were read, without the files that are not images."""
        return self.kept.total() + self.dropped.total() - self.dropped["not_an_image"]


@dataclass(frozen=True)
class EarlierRows:
    """The existing rows at the output, which stay: the number of their parts, and their SHA-256 and
    difference hashes (`known`). `selects` chooses the objects of the inputs that are still to be read."""

    parts: int = 0
    known: tuple[tuple[str, bytes], ...] = ()
    selects: Selector = everything


def prepare_photos(
    inputs: list[str],
    output: str,
    config: PrepareConfig,
    manifest: str | None = None,
    say: Callable[[str], None] = lambda line: None,
    more: Iterable[Candidate] = (),
) -> Preparation:
    """`prepare_into` the folder or bucket `output`, which holds these photographs alone afterwards."""
    return prepare_into(open_store(output, config.storage), inputs, config, manifest, say, more=more)


def prepare_into(
    target: Store,
    inputs: list[str],
    config: PrepareConfig,
    manifest: str | None = None,
    say: Callable[[str], None] = lambda line: None,
    earlier: EarlierRows | None = None,
    more: Iterable[Candidate] = (),
) -> Preparation:
    """Read every photograph under `inputs`, write the kept ones as Parquet files to `target`.

    Inputs are folders or buckets of image files, of Parquet files with the columns `key` and `image` (encoded
    bytes; optionally `label` and `source`), or both; see `candidates`. An image's split depends on its bytes
    alone. `say` gets progress lines and the name of each unreadable photograph. With `earlier` new rows
    are added to those at the target, and an input without any is no error. `more` are read after the inputs.

    Rows are written in the order of their SHA-256 after all are read. In reading order, folder by folder,
    whole row groups would come from one source, and hundreds of training steps would see nothing else. Until
    then the rows are in temporary files on this machine.

    Raises ConfigError and StorageError as the stores do, ConfigError where nothing at all was kept, or where
    more than the share `photos.max_unreadable` cannot be read: then nothing new is left at `target`.
    """
    result = Preparation()
    for uri in inputs:
        refuse_overlap(uri, target.uri, own=())
    target.check_writable()
    before = earlier or EarlierRows()
    result.parts = before.parts
    listed = chain(candidates(inputs, config, manifest, before.selects), more)
    with RowShuffler() as shuffler:
        for row in _unique(_decoded(listed, config, result, say), config.photos, before, result):
            result.kept[str(row["split"])] += 1
            shuffler.add(row)
        refusal = _refusal(result, inputs, config.photos, earlier)
        for rows in shuffler.rows(config.photos.part_images) if refusal is None else ():
            write_part(target, result.parts, rows, config.photos.group_images)
            result.parts += 1
    remove_later_parts(target, result.parts)
    if refusal:
        raise ConfigError(refusal)
    return result


def _refusal(
    result: Preparation, inputs: list[str], config: PhotosConfig, earlier: EarlierRows | None
) -> str | None:
    """Why the photographs are not suitable for training, or None."""
    unreadable = len(result.unreadable)
    share = unreadable / max(1, result.photographs)
    if share > config.max_unreadable:
        return (
            f"{unreadable} of {result.photographs} photographs ({share:.1%}) cannot be read, more than "
            f"photos.max_unreadable ({config.max_unreadable:.1%}) allows, the first of them "
            f"{', '.join(result.unreadable[:3])}; repair them or allow more"
        )
    if not result.kept.total() and earlier is None:
        where = f" of {', '.join(inputs)}" if inputs else ""
        return f"no photograph{where} could be used: {dict(result.dropped)}"
    return None


def _decoded(
    listed: Iterator[Candidate],
    config: PrepareConfig,
    result: Preparation,
    say: Callable[[str], None],
) -> Iterator[dict[str, object]]:
    """Rows of what decodes and has colour, in listing order, decoded by several threads.

    Threads work because Pillow and numpy release the GIL while they process pixels.
    """
    chunk: list[Candidate] = []
    progress = _Progress(say)
    licensed = Patterns(config.photos.licences, config.photos.not_licences)
    with ThreadPoolExecutor(config.photos.threads) as pool:

        def flush() -> Iterator[dict[str, object]]:
            made = pool.map(lambda c: _row(c, config.photos, licensed), chunk)
            for candidate, row in zip(chunk, made, strict=True):
                if isinstance(row, dict):
                    yield row
                    continue
                result.dropped[row] += 1
                if row == "unreadable":
                    result.unreadable.append(candidate.name)
                    say(f"unreadable: {printable(candidate.name)}")
            chunk.clear()
            progress.show(result)

        for candidate in listed:
            chunk.append(candidate)
            if len(chunk) == 16 * config.photos.threads:
                yield from flush()
        yield from flush()


class _Progress:
    """A line every few seconds."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._started = self._last = time.monotonic()

    def show(self, result: Preparation) -> None:
        now = time.monotonic()
        if now - self._last < PROGRESS_SECONDS:
            return
        self._last = now
        rate = result.photographs / (now - self._started)
        self._say(f"read {result.photographs} photographs, kept {result.kept.total()}, {rate:.0f}/s")


def _row(candidate: Candidate, config: PhotosConfig, licensed: Patterns) -> dict[str, object] | str:
    """A row, not yet compared with others for duplicates, or the reason why there is none."""
    data = candidate.read()
    digest = hashlib.sha256(data).hexdigest()
    if candidate.sha256 not in (None, digest):
        return "changed"
    try:
        with opened_picture(data) as opened:
            if not licensed.keep(candidate.licence):
                return "licence"
            if opened.width * opened.height > config.pixels:
                return "too_large"
            rescaled = min(opened.size) > config.short_side
            as_is = opened.format == "JPEG" and opened.mode == "RGB" and not rescaled
            as_is = as_is and opened.getexif().get(0x0112, 1) == 1 and "icc_profile" not in opened.info
            if opened.format == "JPEG" and rescaled:
                opened.draft("RGB", (2 * config.short_side, 2 * config.short_side))
            photo = ImageOps.exif_transpose(opened).convert("RGB")
    except Exception as error:  # whatever Pillow raises on a broken file, the file is counted and named
        claims = candidate.data is not None or candidate.key.lower().endswith(IMAGE_SUFFIXES)
        return "unreadable" if claims or not isinstance(error, OSError) else "not_an_image"
    if rescaled:
        factor = config.short_side / min(photo.size)
        size = (max(1, round(photo.width * factor)), max(1, round(photo.height * factor)))
        photo = photo.resize(size, Image.Resampling.LANCZOS)
    mean_chroma, mean_a, mean_b = _measure(photo)
    if mean_chroma < config.min_chroma:
        return "near_gray"
    return {
        "key": candidate.name,
        "source": candidate.source,
        "label": candidate.label,
        "licence": candidate.licence,
        "split": "val" if int(digest[:12], 16) % 1000 < config.val_permille else "train",
        "width": photo.width,
        "height": photo.height,
        "mean_chroma": mean_chroma,
        "mean_a": mean_a,
        "mean_b": mean_b,
        "phash": difference_hash(photo),
        "sha256": digest,
        "image": data if as_is else _jpeg(photo, config.quality),
    }


def _jpeg(photo: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def _measure(photo: Image.Image) -> tuple[float, float, float]:
    """Mean chroma, mean a*, mean b* in Lab units."""
    small = photo.copy()
    small.thumbnail((MEASURED_SIDE, MEASURED_SIDE), Image.Resampling.BOX)
    ab: NDArray[np.floating] = srgb_to_lab(np.asarray(small, dtype=np.float32) / 255)[..., 1:]
    return float(np.hypot(ab[..., 0], ab[..., 1]).mean()), float(ab[..., 0].mean()), float(ab[..., 1].mean())


def _unique(
    rows: Iterator[dict[str, object]], config: PhotosConfig, earlier: EarlierRows, result: Preparation
) -> Iterator[dict[str, object]]:
    """The first of every group of equal files or nearly equal pictures."""
    duplicates = Duplicates(config.hash_distance, earlier.known)
    for row in rows:
        sha256, phash = row["sha256"], row["phash"]
        assert isinstance(sha256, str)
        assert isinstance(phash, bytes)
        reason = duplicates.reason(sha256, phash)
        if reason is None:
            yield row
        else:
            result.dropped[reason] += 1
