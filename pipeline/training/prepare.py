"""From a folder or bucket of colour photographs to training Parquet; what is left out is counted."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pipeline.color import srgb_to_lab
from pipeline.config import StorageConfig
from pipeline.errors import ConfigError
from pipeline.storage import Store, open_store
from pipeline.training.config import PhotosConfig, PrepareConfig

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif")
PART = "photos-{:05d}.parquet"
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


@dataclass(frozen=True)
class _Candidate:
    store: Store
    input_name: str
    key: str
    source: str
    label: str


def prepare_photos(
    inputs: list[str], output: str, config: PrepareConfig, manifest: str | None = None
) -> Prepared:
    """Read every photograph under `inputs`, write the kept ones as Parquet files under `output`.

    A `manifest.csv` at the root of an input (or the file `manifest`, for all) gives source and label by
    `file`; else the last folder of a key is the label and the first one, or the input's name, the source.
    An image's split depends on its bytes alone. Raises ConfigError and StorageError as the stores do, and
    ConfigError where nothing at all was kept.
    """
    result = Prepared()
    target = open_store(output, config.storage)
    target.check_writable()
    rows: list[dict[str, object]] = []
    parts = 0
    for row in _unique(_decoded(inputs, config, manifest, result), config.photos, result):
        result.kept[str(row["split"])] += 1
        rows.append(row)
        if len(rows) == config.photos.part_images:
            _write_part(target, parts, rows)
            parts, rows = parts + 1, []
    if rows:
        _write_part(target, parts, rows)
        parts += 1
    if not parts:
        raise ConfigError(f"no photograph of {', '.join(inputs)} could be used: {dict(result.dropped)}")
    _remove_older_parts(target, parts)
    return result


def _write_part(target: Store, number: int, rows: list[dict[str, object]]) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), buffer, compression="zstd")
    target.put(PART.format(number), buffer.getvalue())


def _remove_older_parts(target: Store, parts: int) -> None:
    current = {PART.format(number) for number in range(parts)}
    for info in list(target.list("photos-")):
        if info.key.endswith(".parquet") and info.key not in current:
            target.delete(info.key)


def _candidates(inputs: list[str], storage: StorageConfig, manifest: str | None) -> Iterator[_Candidate]:
    for uri in inputs:
        store = open_store(uri, storage)
        store.check_readable()
        name = uri.rstrip("/").rsplit("/", 1)[-1]
        known = _read_manifest(store, manifest, storage)
        for info in store.list():
            folders = info.key.split("/")[:-1]
            guess = (folders[0] if len(folders) > 1 else name, folders[-1] if folders else "")
            yield _Candidate(store, name, info.key, *known.get(info.key, guess))


def _read_manifest(store: Store, manifest: str | None, storage: StorageConfig) -> dict[str, tuple[str, str]]:
    """`file` to (source, label); empty where the input has no manifest and none was named."""
    if manifest is not None:
        folder, _, name = manifest.rpartition("/")
        data = open_store(folder or ".", storage).get(name).data
    elif store.exists("manifest.csv"):
        data = store.get("manifest.csv").data
    else:
        return {}
    reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig")))
    if "file" not in (reader.fieldnames or []):
        raise ConfigError(f"{manifest or store.uri + '/manifest.csv'} has no column 'file'")
    return {row["file"]: (row.get("source") or "", row.get("label") or "") for row in reader}


def _decoded(
    inputs: list[str], config: PrepareConfig, manifest: str | None, result: Prepared
) -> Iterator[dict[str, object]]:
    """Rows of what decodes and has colour, in listing order, decoded by several threads."""
    chunk: list[_Candidate] = []
    with ThreadPoolExecutor(config.photos.threads) as pool:

        def flush() -> Iterator[dict[str, object]]:
            for candidate, row in zip(chunk, pool.map(lambda c: _row(c, config.photos), chunk), strict=True):
                if isinstance(row, dict):
                    yield row
                    continue
                result.dropped[row] += 1
                if row == "unreadable":
                    result.unreadable.append(f"{candidate.input_name}/{candidate.key}")
            chunk.clear()

        for candidate in _candidates(inputs, config.storage, manifest):
            chunk.append(candidate)
            if len(chunk) == 16 * config.photos.threads:
                yield from flush()
        yield from flush()


def _row(candidate: _Candidate, config: PhotosConfig) -> dict[str, object] | str:
    """A row without its fate as a duplicate, or the reason why there is none."""
    data = candidate.store.get(candidate.key).data
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
        claims = candidate.key.lower().endswith(IMAGE_SUFFIXES)
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
        "key": f"{candidate.input_name}/{candidate.key}",
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
