"""An output with every kind of gallery card, made without a run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.config.storage import StorageConfig
from pipeline.errors import FailureCode
from pipeline.ledger.schema import LedgerRow
from pipeline.records import Status
from pipeline.storage import Store, open_store
from tests.support.ledger_parts import put_part, row
from tests.support.paths import REPO
from tests.support.samples import encoded, photo

HOSTILE = "<img src=x onerror=document.title='owned'>/<script>document.title='owned'</script> #?%2e&\"'.jpg"
PHOTOS = REPO / "tests/photos"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def stores(folder: Path) -> tuple[Store, Store]:
    """An empty source and an empty output."""
    for name in ("in", "out"):
        (folder / name).mkdir()
    config = StorageConfig()
    return open_store(str(folder / "in"), config), open_store(str(folder / "out"), config)


def coloured(source: Store, out: Store, key: str, number: int = 0, chroma: float = 5.0) -> LedgerRow:
    """Write a photograph and its result, and return the row that a run would write."""
    gray = photo(40, 60 + number)
    before = encoded(gray, "JPEG")
    source.put(key, before)
    tint = np.stack([gray, gray, gray // 2], axis=-1)
    after = encoded(tint, "JPEG")
    out.put(f"images/{key}", after)
    ledger_row = row(key, finished_at=NOON + timedelta(days=number), etag=etag_of(source, key))
    ledger_row.bytes, ledger_row.width, ledger_row.height = len(before), 60 + number, 40
    ledger_row.mean_chroma = chroma
    ledger_row.output_key = f"images/{key}"
    ledger_row.source_sha256 = hashlib.sha256(before).hexdigest()
    ledger_row.output_sha256 = hashlib.sha256(after).hexdigest()
    return ledger_row


def failed(source: Store, key: str, data: bytes, message: str) -> LedgerRow:
    """Write a file that is not a photograph, and return the row of its failure."""
    source.put(key, data)
    ledger_row = row(key, Status.FAILED, finished_at=NOON, etag=etag_of(source, key))
    ledger_row.failure_code, ledger_row.message = str(FailureCode.CORRUPT), message
    ledger_row.bytes = len(data)
    return ledger_row


def etag_of(source: Store, key: str) -> str:
    """The ETag in a listing."""
    return next(info.etag for info in source.list(key) if info.key == key)


def sample_output(folder: Path) -> tuple[Store, Store]:
    """Source and output: four coloured photographs, one of them with a hostile name, and two failures."""
    source, out = stores(folder)
    rows = [
        coloured(source, out, "1920s/a.jpg", 0, 3.0),
        coloured(source, out, "1920s/b.jpg", 1, 9.0),
        coloured(source, out, "1930s/사진.jpg", 2, 6.0),
        coloured(source, out, HOSTILE, 3, 1.0),
        failed(source, "broken.jpg", b"\xff\xd8no photograph", "<script>document.title='owned'</script>"),
        failed(source, "1930s/shown.jpg", encoded(photo(), "JPEG"), "the decoder ended"),
    ]
    put_part(out, "digest", "one", rows)
    return source, out


def warm(gray: Image.Image) -> Image.Image:
    """A result that is cheap to compute."""
    return Image.merge(
        "RGB", [gray.point(lambda level, share=share: level * share) for share in (1, 0.9, 0.75)]
    )


def photographs(
    folder: Path,
    names: Sequence[str],
    side: int = 320,
    colour: Callable[[Image.Image], Image.Image] = warm,
) -> tuple[Store, Store]:
    """Source and output: these photographs of tests/photos under their names, gray, at most `side` pixels
    long, as JPEG; and what `colour` makes of them."""
    source, out = stores(folder)
    rows = []
    for name in names:
        with Image.open(PHOTOS / name) as image:
            gray = image.convert("L")
        gray.thumbnail((side, side))
        source.put(name, encoded(gray, "JPEG"))
        out.put(f"images/{name}", encoded(colour(gray), "JPEG", quality=92))
        ledger_row = row(name, finished_at=NOON, etag=etag_of(source, name))
        ledger_row.bytes = len(source.get(name).data)
        ledger_row.output_key = f"images/{name}"
        ledger_row.width, ledger_row.height = gray.size
        ledger_row.source_sha256 = hashlib.sha256(source.get(name).data).hexdigest()
        ledger_row.output_sha256 = hashlib.sha256(out.get(f"images/{name}").data).hexdigest()
        rows.append(ledger_row)
    put_part(out, "digest", "one", rows)
    return source, out
