"""Which photographs are measured, and reading them: image files with a manifest, or Parquet of images."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pipeline.codecs.opened import opened_picture
from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError
from pipeline.evaluate.settings import OWN, EvaluateSection
from pipeline.storage import Store, open_store

U8 = NDArray[np.uint8]
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
SMALLEST_SIDE = 32
"""Pixels: what the networks and the window of SSIM need at least; smaller photographs are enlarged to it."""

_WNID = re.compile(r"n\d{8}")


@dataclass(frozen=True)
class Photograph:
    """`wnid` is the ImageNet class where it is known, else ""; `part` and `row` are its place in Parquet.
    `plate` is the key of the picture whose lightness networks see in place of the photograph's own, whose key
    is `of` then."""

    key: str
    group: str
    wnid: str = ""
    part: str | None = None
    row: int = 0
    plate: str | None = None
    of: str | None = None


class Unreadable(Exception):
    """A photograph that cannot be decoded; the message says why, in one line."""


@cache
def imagenet_wnids() -> tuple[str, ...]:
    """The WordNet ids of the 1,000 classes in the order of a classifier's outputs, which is the sorted one.

    Source: Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge", IJCV 2015; the list is
    timm's `imagenet_synsets.txt` (Apache-2.0).
    """
    return tuple((Path(__file__).parent / "imagenet_wnids.txt").read_text(encoding="utf-8").split())


def wnid_of(*texts: str) -> str:
    """The first of the 1,000 WordNet ids that occurs in the texts (labels, file names), else ""."""
    candidates = (wnid for text in texts for wnid in _WNID.findall(text))
    return next((wnid for wnid in candidates if wnid in imagenet_wnids()), "")


def open_input(uri: str, storage: StorageConfig) -> tuple[Store, str | None]:
    """The store, and the one Parquet file in it where `uri` names a file. Raises as `check_readable` does."""
    root, _, name = uri.rstrip("/").rpartition("/")
    part = name if name.endswith(".parquet") else None
    store = open_store((root or ("/" if uri.startswith("/") else ".")) if part else uri, storage)
    store.check_readable()
    if part and not store.exists(part):
        raise ConfigError(f"{uri} does not exist")
    return store, part


def list_photographs(uri: str, settings: EvaluateSection, storage: StorageConfig) -> list[Photograph]:
    """The photographs under `uri` in listing order, those of `groups` where there are any, the first `limit`
    of them.

    Of Parquet written by prepare_photos (`photos-*.parquet`) the rows of `split`; of other Parquet with the
    columns `key` and `image` the files whose name starts with `split`, or the one file that `uri` names; else
    image files, with group (`source`) and class (`label` or `orig_path`) from a manifest.csv beside them.
    Where `plates` are asked for, those photographs that have them all, see `by_plate`.

    Raises ConfigError where there is none, or none of a group, or a key occurs twice.
    """
    store, part = open_input(uri, storage)
    keys = [info.key for info in store.list()] if part is None else [part]
    prepared = [key for key in keys if re.fullmatch(r"photos-.*\.parquet", key)]
    other = [key for key in keys if re.fullmatch(rf"{re.escape(settings.split)}.*\.parquet", key)]
    parts = [part] if part else prepared or other
    name = uri.rstrip("/").rsplit("/", 1)[-1].removesuffix(".parquet")
    if parts:
        photos = [photo for key in parts for photo in _rows(store, key, settings.split, name)]
    else:
        photos = list(_files(store, keys))
    if settings.plates != (OWN,):
        photos = by_plate(uri, photos, manifest_rows(store), settings.plates)
    if not photos:
        kinds = f"no photographs ({', '.join(SUFFIXES)}, or Parquet of the split {settings.split!r})"
        raise ConfigError(f"{uri} holds {kinds}")
    twice = [key for key, count in Counter(photo.key for photo in photos).items() if count > 1]
    if twice:
        raise ConfigError(f"{uri} holds the photograph {twice[0]!r} twice; keys must differ")
    return _of_groups(uri, photos, settings.groups)[: settings.limit]


def _of_groups(uri: str, photos: list[Photograph], groups: tuple[str, ...]) -> list[Photograph]:
    there = {photo.group for photo in photos}
    missing = [group for group in groups if group not in there]
    if missing:
        known = ", ".join(sorted(there))
        raise ConfigError(f"{uri} holds no photographs of the source {missing[0]!r}; there are: {known}")
    return [photo for photo in photos if not groups or photo.group in groups]


def _rows(store: Store, key: str, split: str, name: str) -> Iterator[Photograph]:
    file = _parquet(store, key)
    columns = set(file.schema_arrow.names)
    if not {"key", "image"} <= columns:
        raise ConfigError(f"{store.uri}/{key} has no columns 'key' and 'image' (encoded images)")
    used = sorted(columns & {"key", "source", "label", "wnid", "split"})
    for number, row in enumerate(file.read(used).to_pylist()):
        if row.get("split", split) == split:
            wnid = wnid_of(row.get("wnid") or "", row.get("label") or "")
            yield Photograph(row["key"], row.get("source") or name, wnid, key, number)


def _parquet(store: Store, key: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(io.BytesIO(store.get(key).data))
    except pa.ArrowInvalid as error:
        raise ConfigError(f"{store.uri}/{key} is not Parquet: {' '.join(str(error).split())}") from None


def manifest_rows(store: Store) -> dict[str, dict[str, str]]:
    """The rows of the input's manifest.csv by `file`; none where there is no manifest."""
    if not store.exists("manifest.csv"):
        return {}
    reader = csv.DictReader(io.StringIO(store.get("manifest.csv").data.decode("utf-8-sig")))
    return {row["file"]: row for row in reader if row.get("file")}


def _files(store: Store, keys: list[str]) -> Iterator[Photograph]:
    known = manifest_rows(store) if "manifest.csv" in keys else {}
    for key in keys:
        if key.lower().endswith(SUFFIXES):
            row = known.get(key, {})
            wnid = wnid_of(row.get("label") or "", row.get("orig_path") or "")
            yield Photograph(key, row.get("source") or key.split("/")[0], wnid)


def by_plate(
    uri: str, photos: list[Photograph], rows: dict[str, dict[str, str]], plates: tuple[str, ...]
) -> list[Photograph]:
    """Each photograph once for each of `plates`, which becomes its group, plate by plate.

    A plate is a column of the manifest that names a picture of the same scene in register with the
    photograph: what the networks then see, while errors are taken with the photograph's own lightness put
    back. Left out are photographs without one of them, so that all plates are measured on the same scenes.
    Raises ConfigError for a column that names nothing.
    """
    columns = [plate for plate in plates if plate != OWN]
    for column in columns:
        if not any(row.get(column) for row in rows.values()):
            raise ConfigError(
                f"{uri} has no plates {column!r}: its manifest.csv has no such column, or it is empty"
            )
    whole = [photo for photo in photos if all(rows.get(photo.key, {}).get(column) for column in columns)]
    return [
        replace(photo, group=OWN)
        if plate == OWN
        else replace(
            photo, key=f"{photo.key}#{plate}", group=plate, plate=rows[photo.key][plate], of=photo.key
        )
        for plate in plates
        for photo in whole
    ]


class Reader:
    """Decodes photographs; keeps the last Parquet file it read, for the next one mostly lies in it too."""

    def __init__(self, uri: str, pixels: int, storage: StorageConfig) -> None:
        self._store, _ = open_input(uri, storage)
        self._pixels = pixels
        self._part: tuple[str, pa.ChunkedArray] | None = None

    def read(self, photo: Photograph) -> Image.Image:
        """Upright, mode RGB. Raises Unreadable where it does not decode, StorageError as the store does."""
        return self._decoded(self._bytes(photo))

    def read_plate(self, photo: Photograph) -> Image.Image | None:
        """What the networks see of it, likewise; None where that is the photograph itself. Raises as
        `read`."""
        return None if photo.plate is None else self._decoded(self._store.get(photo.plate).data)

    def _decoded(self, data: bytes) -> Image.Image:
        try:
            with opened_picture(data) as opened:
                if opened.width * opened.height > self._pixels:
                    raise Unreadable(f"{opened.width} x {opened.height} is above evaluate.pixels")
                return ImageOps.exif_transpose(opened).convert("RGB")
        except Unreadable:
            raise
        except Exception as error:  # whatever Pillow raises on a broken file, the file is named and counted
            raise Unreadable(" ".join(str(error).split()) or type(error).__name__) from None

    def _bytes(self, photo: Photograph) -> bytes:
        if photo.part is None:
            return self._store.get(photo.of or photo.key).data
        if self._part is None or self._part[0] != photo.part:
            self._part = (photo.part, _parquet(self._store, photo.part).read(["image"])["image"])
        data = self._part[1][photo.row].as_py()
        return data if isinstance(data, bytes) else b""


def reduced(photo: Image.Image, side: int) -> U8:
    """uint8[H,W,3], the short side at most `side` and no side below SMALLEST_SIDE."""
    factor = min(1.0, side / min(photo.size))
    size = (max(SMALLEST_SIDE, round(photo.width * factor)), max(SMALLEST_SIDE, round(photo.height * factor)))
    return np.asarray(photo.resize(size, Image.Resampling.LANCZOS))
