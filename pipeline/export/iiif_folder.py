"""Write all manifests of an export and their collection to a folder or bucket."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Any, cast

import pyarrow as pa
from PIL import Image

from pipeline.errors import ConfigError, StorageError
from pipeline.export.iiif import (
    COLLECTION,
    MEDIA_TYPE,
    Json,
    Page,
    collection,
    entry,
    manifest,
    manifest_name,
)
from pipeline.export.iiif_places import IiifPlaces
from pipeline.ledger.keys import DERIVATIVES, IMAGES, THUMBNAILS
from pipeline.ledger.stream import LedgerParts, rows_at
from pipeline.storage import ObjectInfo, Store
from pipeline.storage.ranges import RangedObject

Row = dict[str, Any]


def write_manifests(
    parts: LedgerParts,
    objects: pa.Table,
    to: Store,
    places: IiifPlaces,
    threads: int,
    label: str,
    progress: Callable[[int], None],
) -> int:
    """Write a manifest for each image, then the collection; returns the number of images.

    Args:
        objects: `DeliveredObjects.present`.
        label: of the collection.
        progress: called with the number of images so far.

    Raises:
        StorageError: the ledger or a picture cannot be read, or something not be written.
    """
    thumbnails = _thumbnails(parts.out)
    entries = dict[str, Json]()

    def write(rows: list[Row]) -> tuple[str, Json]:
        row = rows[0]
        thumbnail = thumbnails.get(str(row["output_sha256"])[:32])
        _put(to, manifest_name(row["key"]), manifest(row, _pages(parts.out, rows), thumbnail, places))
        return row["key"], entry(row, thumbnail, places)

    with ThreadPoolExecutor(threads) as pool:
        for images in _images(parts, objects):
            for key, one in pool.map(write, images):
                entries[key] = one
            progress(len(entries))
    _put(to, COLLECTION, collection([entries[key] for key in sorted(entries)], label, places))
    return len(entries)


def _images(parts: LedgerParts, objects: pa.Table) -> Iterator[list[list[Row]]]:
    """The delivered objects of each ledger part, grouped by image."""
    for table in rows_at(parts, objects):
        yield [list(rows) for _, rows in groupby(table.to_pylist(), lambda row: row["at_row"])]


def _thumbnails(out: Store) -> dict[str, str]:
    """The keys of the gallery's thumbnails, by the first 32 digits of the SHA-256 of the file shown."""
    return {info.key.rpartition("/")[2].removesuffix(".jpg"): info.key for info in out.list(THUMBNAILS)}


def _pages(out: Store, rows: list[Row]) -> list[Page]:
    """The pages of an image. The ledger has the size of the first page; the files have those of the others.

    Args:
        rows: one for each of its delivered objects.
    """
    row, present = rows[0], {one["at_key"]: one for one in rows}
    pages = [Page(row["output_key"], row["derivative_key"], row["width"], row["height"])]
    further = row["further_keys"] or ()
    for key in further:
        if key.startswith(IMAGES):  # the others are second files, named like their page
            start = f"{DERIVATIVES}{key.removeprefix(IMAGES).rpartition('.')[0]}."
            second = next((other for other in further if other.startswith(start)), None)
            pages.append(Page(key, second, *_size(out, present[key])))
    return pages


def _size(out: Store, row: Row) -> tuple[int, int]:
    info = ObjectInfo(row["at_key"], row["at_etag"], row["at_bytes"])
    try:
        with Image.open(cast(Any, RangedObject(out, info))) as picture:  # reads only the header
            return picture.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise StorageError(
            f"cannot read the size of {out.uri}/{info.key} ({error}); check it with fiat-color verify"
        ) from None


def _put(to: Store, name: str, document: Json) -> None:
    to.put(name, json.dumps(document, ensure_ascii=False, indent=1).encode(), MEDIA_TYPE)


def refuse_taken(to: Store) -> None:
    """Refuse a bucket prefix that has a collection already, because an export never overwrites files.

    Raises:
        ConfigError: it has. StorageError: the store does not say.
    """
    if to.exists(COLLECTION):
        raise ConfigError(f"{to.uri}/{COLLECTION} exists already; move it away, or give another --to")
