"""From a folder or bucket of colour photographs to training Parquet; what is left out is counted."""

from __future__ import annotations

import hashlib
import io
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pipeline.color import srgb_to_lab
from pipeline.errors import ConfigError
from pipeline.storage import Store, open_store, refuse_overlap
from pipeline.storage.base import printable
from pipeline.training.candidates import Candidate, candidates
from pipeline.training.config import PhotosConfig, PrepareConfig

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif")
PART = "photos-{:05d}.parquet"
PROGRESS_SECONDS = 5.0
MEASURED_SIDE = 96
"""Chroma is measured on a thumbnail of this longest side: its mean does not change with size."""

SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("source", pa.string()),
        ("label", pa.string()),
        ("split", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("mean_chroma", pa.float32()),
        ("mean_a", pa.float32()),
        ("mean_b", pa.float32()),
        ("phash", pa.binary(16)),
        ("sha256", pa.string()),
        ("image", pa.binary()),
    ]
)
"""One row per photograph. `image` is a JPEG, `split` "train" or "val", chroma and mean ab are Lab units,
`phash` the 128-bit difference hash, `sha256` that of the source file; `label` is "" where unknown."""


@dataclass
class Prepared:
    """What became of the input: rows per split, photographs left out by reason, and the unreadable ones."""

    kept: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)

    @property
    def photographs(self) -> int:
        """All that was read, without the files that are not images."""
        return self.kept.total() + self.dropped.total() - self.dropped["not_an_image"]


def prepare_photos(
    inputs: list[str],
    output: str,
    config: PrepareConfig,
    manifest: str | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Prepared:
    """Read every photograph under `inputs`, write the kept ones as Parquet files under `output`.

    Inputs are folders or buckets of image files, of Parquet files with the columns `key` and `image` (encoded
    bytes; `label` and `source` if they are there), or both; see `candidates`. An image's split depends on its
    bytes alone. `say` gets progress lines and the name of each unreadable photograph.

    Raises ConfigError and StorageError as the stores do, ConfigError where nothing at all was kept, or where
    more than the share `photos.max_unreadable` cannot be read: then no training data is left at `output`.
    """
    result = Prepared()
    for uri in inputs:
        refuse_overlap(uri, output, own=())
    target = open_store(output, config.storage)
    target.check_writable()
    rows: list[dict[str, object]] = []
    parts = 0
    for row in _unique(_decoded(inputs, config, manifest, result, say), config.photos, result):
        result.kept[str(row["split"])] += 1
        rows.append(row)
        if len(rows) == config.photos.part_images:
            _write_part(target, parts, rows, config.photos)
            parts, rows = parts + 1, []
    if rows:
        _write_part(target, parts, rows, config.photos)
        parts += 1
    refusal = _refusal(result, inputs, config.photos)
    _remove_older_parts(target, 0 if refusal else parts)
    if refusal:
        raise ConfigError(refusal)
    return result


def _refusal(result: Prepared, inputs: list[str], config: PhotosConfig) -> str | None:
    """Why the photographs are not fit to train on, or None."""
    unreadable = len(result.unreadable)
    share = unreadable / max(1, result.photographs)
    if share > config.max_unreadable:
        return (
            f"{unreadable} of {result.photographs} photographs ({share:.1%}) cannot be read, more than "
            f"photos.max_unreadable ({config.max_unreadable:.1%}) allows, the first of them "
            f"{', '.join(result.unreadable[:3])}; repair them or allow more"
        )
    if not result.kept.total():
        return f"no photograph of {', '.join(inputs)} could be used: {dict(result.dropped)}"
    return None


def _write_part(target: Store, number: int, rows: list[dict[str, object]], config: PhotosConfig) -> None:
    buffer = io.BytesIO()
    table = pa.Table.from_pylist(rows, SCHEMA)
    pq.write_table(table, buffer, compression="zstd", row_group_size=config.group_images)
    target.put(PART.format(number), buffer.getvalue())


def _remove_older_parts(target: Store, parts: int) -> None:
    current = {PART.format(number) for number in range(parts)}
    for info in list(target.list("photos-")):
        if info.key.endswith(".parquet") and info.key not in current:
            target.delete(info.key)


def _decoded(
    inputs: list[str],
    config: PrepareConfig,
    manifest: str | None,
    result: Prepared,
    say: Callable[[str], None],
) -> Iterator[dict[str, object]]:
    """Rows of what decodes and has colour, in listing order, decoded by several threads.

    Threads, for Pillow and numpy leave the interpreter to others while they work on pixels.
    """
    chunk: list[Candidate] = []
    progress = _Progress(say)
    with ThreadPoolExecutor(config.photos.threads) as pool:

        def flush() -> Iterator[dict[str, object]]:
            for candidate, row in zip(chunk, pool.map(lambda c: _row(c, config.photos), chunk), strict=True):
                if isinstance(row, dict):
                    yield row
                    continue
                result.dropped[row] += 1
                if row == "unreadable":
                    result.unreadable.append(candidate.name)
                    say(f"unreadable: {printable(candidate.name)}")
            chunk.clear()
            progress.show(result)

        for candidate in candidates(inputs, config, manifest):
            chunk.append(candidate)
            if len(chunk) == 16 * config.photos.threads:
                yield from flush()
        yield from flush()


class _Progress:
    """A line every few seconds."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._started = self._last = time.monotonic()

    def show(self, result: Prepared) -> None:
        now = time.monotonic()
        if now - self._last < PROGRESS_SECONDS:
            return
        self._last = now
        rate = result.photographs / (now - self._started)
        self._say(f"read {result.photographs} photographs, kept {result.kept.total()}, {rate:.0f}/s")


def _row(candidate: Candidate, config: PhotosConfig) -> dict[str, object] | str:
    """A row without its fate as a duplicate, or the reason why there is none."""
    data = candidate.read()
    try:
        with Image.open(io.BytesIO(data)) as opened:
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
    digest = hashlib.sha256(data).hexdigest()
    return {
        "key": candidate.name,
        "source": candidate.source,
        "label": candidate.label,
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


def difference_hash(photo: Image.Image) -> bytes:
    """16 bytes: on 9x9 gray pixels, whether each is brighter than its right neighbour, then its lower one.

    Source: N. Krawetz, "Kind of Like That" (dHash), 2013, in both directions.
    """
    gray = np.asarray(photo.convert("L").resize((9, 9), Image.Resampling.BOX), dtype=np.int16)
    bits = np.concatenate([(gray[:8, :8] > gray[:8, 1:]).ravel(), (gray[:8, :8] > gray[1:, :8]).ravel()])
    return np.packbits(bits).tobytes()


def _unique(
    rows: Iterator[dict[str, object]], config: PhotosConfig, result: Prepared
) -> Iterator[dict[str, object]]:
    """The first of every group of equal files or nearly equal pictures.

    Hashes at a distance of at most 7 of 128 bits agree in at least one of their 8 pieces of 16 bits, so only
    photographs that share a piece are compared.
    """
    digests: set[object] = set()
    buckets: dict[tuple[int, bytes], list[int]] = {}
    for row in rows:
        if row["sha256"] in digests:
            result.dropped["duplicate_file"] += 1
            continue
        digests.add(row["sha256"])
        assert isinstance(row["phash"], bytes)
        pieces = [(i, row["phash"][2 * i : 2 * i + 2]) for i in range(8)]
        value = int.from_bytes(row["phash"])
        seen = {other for piece in pieces for other in buckets.get(piece, ())}
        if any((value ^ other).bit_count() <= config.hash_distance for other in seen):
            result.dropped["duplicate_picture"] += 1
            continue
        for piece in pieces:
            buckets.setdefault(piece, []).append(value)
        yield row
