"""Describe images in manifests of the IIIF Presentation API 3.0.

Source: https://iiif.io/api/presentation/3.0/; a Choice of two pictures on one canvas as in the Web Annotation
Data Model and recipe 33 of the IIIF Cookbook.
"""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.export.iiif_places import IiifPlaces, service_id
from pipeline.export.premis import media_type
from pipeline.records import GRAY

CONTEXT = "http://iiif.io/api/presentation/3/context.json"
#: The media type of a manifest (Presentation API 3.0, 6.1).
MEDIA_TYPE = f'application/ld+json;profile="{CONTEXT}"'
COLLECTION = "collection.json"
GUESS = (
    "The colours were added by software. They are a guess and no record of what was there; only light and "
    "dark are the photograph's."
)
_AS_IT_IS = "Delivered without added colour."
#: Formats that browsers can show directly.
_SHOWN = ("image/jpeg", "image/png", "image/webp")
#: What image servers read in tiles.
_PYRAMIDS = "image/tiff"
Json = dict[str, Any]


class Page(NamedTuple):
    """One delivered picture: its key below OUT, its second file's (None: none) and its size in pixels."""

    key: str
    derivative: str | None
    width: int
    height: int


def manifest_name(key: str) -> str:
    """The path of the manifest of a source key in the export: the same in every export."""
    return f"manifests/{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


def manifest(
    row: Mapping[str, Any], pages: Sequence[Page], thumbnail: str | None, places: IiifPlaces
) -> Json:
    """The manifest of an image, with one canvas per page.

    The first page of a source offers a Choice of result and scan. Further pages have no address of their own
    in the source, and images kept gray equal the scan, so these are shown without a choice.

    Args:
        row: the ledger row of a current result.
        pages: at least one.
        thumbnail: key below OUT of a small JPEG; None: there is none.
    """
    uri = places.published(manifest_name(row["key"]))
    numbered = enumerate(pages, start=1)
    canvases = [_canvas(row, page, f"{uri}/canvas/{number}", number, places) for number, page in numbered]
    return {
        "@context": CONTEXT,
        "id": uri,
        **_introduction(row, thumbnail, places),
        "summary": _english(_AS_IT_IS if row["method"] == GRAY else GUESS),
        "metadata": _metadata(row),
        "requiredStatement": _statement(row, places),
        **({"rights": places.rights} if places.rights else {}),
        "rendering": [_linked(places.source(row["key"]), "The scan as a file", _type_of(row["key"]))],
        "items": canvases,
    }


def collection(entries: Sequence[Json], label: str, places: IiifPlaces) -> Json:
    """The collection of these manifests.

    Args:
        entries: from `entry`, in display order.
    """
    return {
        "@context": CONTEXT,
        "id": places.published(COLLECTION),
        "type": "Collection",
        "label": {"none": [label]},
        "summary": _english(GUESS),
        "requiredStatement": _statement({"method": None}, places),
        **({"rights": places.rights} if places.rights else {}),
        "items": list(entries),
    }


def entry(row: Mapping[str, Any], thumbnail: str | None, places: IiifPlaces) -> Json:
    """The entry of a manifest in the collection."""
    return {"id": places.published(manifest_name(row["key"])), **_introduction(row, thumbnail, places)}


def _introduction(row: Mapping[str, Any], thumbnail: str | None, places: IiifPlaces) -> Json:
    small = []
    if thumbnail is not None:
        small = [{"id": places.image(thumbnail), "type": "Image", "format": "image/jpeg"}]
    label = {"type": "Manifest", "label": {"none": [row["key"]]}}
    return {**label, "thumbnail": small} if small else label


def _canvas(row: Mapping[str, Any], page: Page, uri: str, number: int, places: IiifPlaces) -> Json:
    size = {"width": page.width, "height": page.height}
    if row["method"] == GRAY:
        body = _result(page, "As scanned, without added colour", places)
    else:
        body = _result(page, "Coloured by software; the colours are a guess", places)
        if number == 1:
            body = {"type": "Choice", "items": [body, _scan(row, page, places)]}
    painting = {
        "id": f"{uri}/painting",
        "type": "Annotation",
        "motivation": "painting",
        "body": body,
        "target": uri,
    }
    page_of = {"id": f"{uri}/page", "type": "AnnotationPage", "items": [painting]}
    return {"id": uri, "type": "Canvas", "label": _english(f"Page {number}"), **size, "items": [page_of]}


def _result(page: Page, label: str, places: IiifPlaces) -> Json:
    """The file to show: through an image server if there is one, else a format that browsers read."""
    second, size = page.derivative, {"width": page.width, "height": page.height}
    if places.image_service and second and media_type(second) == _PYRAMIDS:
        return _served(service_id(places.image_service, second), size, label)
    if second and media_type(page.key) not in _SHOWN and media_type(second) in _SHOWN:
        return _picture(
            places.image(second), media_type(second), label, {}
        )  # smaller, by how much is not known
    return _picture(places.image(page.key), media_type(page.key), label, size)


def _scan(row: Mapping[str, Any], page: Page, places: IiifPlaces) -> Json:
    label, size = "The scan", {"width": page.width, "height": page.height}
    if places.source_service:
        return _served(service_id(places.source_service, row["key"]), size, label)
    return _picture(places.source(row["key"]), _type_of(row["key"]), label, size)


def _picture(uri: str, kind: str | None, label: str, size: Json) -> Json:
    known = {"format": kind} if kind else {}
    return {"id": uri, "type": "Image", **known, "label": _english(label), **size}


def _served(service: str, size: Json, label: str) -> Json:
    """Image API 3.0, 4: the whole picture in the largest size that the server gives."""
    picture = _picture(f"{service}/full/max/0/default.jpg", "image/jpeg", label, size)
    return {**picture, "service": [{"id": service, "type": "ImageService3", "profile": "level1"}]}


def _statement(row: Mapping[str, Any], places: IiifPlaces) -> Json:
    """What every viewer must show."""
    lines = [] if row["method"] == GRAY else [GUESS]
    lines += [places.attribution] if places.attribution else []
    return {"label": _english("About the colours"), "value": {"en": lines or [_AS_IT_IS]}}


def _metadata(row: Mapping[str, Any]) -> list[Json]:
    facts = {
        "Source": row["key"],
        "SHA-256 of the source": row["source_sha256"],
        "SHA-256 of the result": row["output_sha256"],
        "Coloured by": f"Fiat Color, method {row['method']}, weights {row['weights_digest'][:16]}",
        "Coloured on": f"{row['finished_at']:%Y-%m-%d}",
        "Run": row["run_id"],
    }
    return [
        {"label": _english(name), "value": {"none": [str(value)]}} for name, value in facts.items() if value
    ]


def _linked(uri: str, label: str, kind: str | None) -> Json:
    known = {"format": kind} if kind else {}
    return {"id": uri, "type": "Image", "label": _english(label), **known}


def _type_of(source: str) -> str | None:
    kind = mimetypes.guess_type(source)[0]
    return kind if kind and kind.startswith("image/") else None


def _english(text: str) -> Json:
    return {"en": [text]}
