"""Previews of corrections: as a run colours, quick to repeat, and one line if it cannot be done."""

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fiat_color import colorize_image
from pipeline.color.metrics import ciede2000, to_lab
from pipeline.config.job import JobConfig
from pipeline.errors import ConfigError, ImageFailure, StorageError
from pipeline.review.cards import read_cards
from pipeline.review.correction import Correction
from pipeline.shard.preview import SIDE, Previewer
from pipeline.storage import Store
from tests.support.gallery_samples import photographs
from tests.support.samples import encoded, photo

STREET, MAN = "detroit-1915.jpg", "woman-in-print.jpg"
GREEN = {"color": "#2f6a4c", "radius": 0.03, "path": [[0.1, 0.5], [0.25, 0.5]]}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Store]:
    return photographs(tmp_path_factory.mktemp("preview"), [STREET, MAN], side=400)


@pytest.fixture(scope="module")
def cards(stores: tuple[Store, Store]) -> dict[str, Any]:
    return {card["key"]: card for card in read_cards(stores[1]).to_pylist()}


@pytest.fixture(scope="module")
def previewer(stores: tuple[Store, Store]) -> Iterator[Previewer]:
    config = JobConfig.model_validate({"model": {"precision": "fp32"}})
    previewer = Previewer(*stores, config)
    yield previewer
    previewer.close()


def shown(previewer: Previewer, card: Any, lender: Any = None, **fields: Any) -> np.ndarray[Any, Any]:
    data = previewer(card, Correction.model_validate(fields), lender)
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.slow
def test_a_preview_is_what_a_run_gives(stores: Any, cards: Any, previewer: Previewer) -> None:
    with Image.open(io.BytesIO(stores[0].get(STREET).data)) as image:
        wanted = np.asarray(colorize_image(image))
    assert ciede2000(to_lab(shown(previewer, cards[STREET], chroma=1.0)), to_lab(wanted)) < 1
    gray = to_lab(shown(previewer, cards[STREET], chroma=0.0))
    assert np.abs(gray[..., 1:]).mean() < 0.5


def test_a_stroke_changes_what_it_touches(cards: Any, previewer: Previewer) -> None:
    before = to_lab(shown(previewer, cards[STREET], chroma=1.0))
    after = to_lab(shown(previewer, cards[STREET], strokes=[GREEN]))
    height, width = before.shape[:2]
    change = np.abs(after - before)[..., 1:].sum(-1)
    drawn = change[int(0.48 * height) : int(0.52 * height), int(0.1 * width) : int(0.25 * width)]
    assert drawn.mean() > 8
    assert change[:, int(0.7 * width) :].mean() < 1
    assert np.abs(after - before)[..., 0].mean() < 1, "the lightness stays"


@pytest.mark.slow
def test_a_source_is_read_once(tmp_path: Path) -> None:
    source, out = photographs(tmp_path, [STREET], side=2 * SIDE)
    (card,) = read_cards(out).to_pylist()
    previewer = Previewer(source, out, JobConfig())
    first = shown(previewer, card, chroma=1.0)
    assert max(first.shape) == SIDE
    (tmp_path / "in" / STREET).unlink()
    for strokes in ([GREEN], [GREEN, {**GREEN, "color": "#a8242b"}]):
        started = time.process_time()
        assert shown(previewer, card, strokes=strokes).shape == first.shape
        seconds = time.process_time() - started
        print(f"\n{seconds:.2f} CPU s for a preview of {first.shape[1]} x {first.shape[0]}")
    previewer.close()


def test_another_image_lends_its_colours(cards: Any, previewer: Previewer) -> None:
    card = {**cards[STREET]}
    warm = to_lab(shown(previewer, card, cards[MAN], reference=MAN, method="welsh"))
    assert warm[..., 2].mean() > 3, "the result of the other image is warm"
    with pytest.raises(ImageFailure, match="has changed"):
        previewer(card, Correction(reference=MAN), {**cards[MAN], "output_sha256": "0" * 64})


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"method": "welsh"}, "needs a reference"), ({"method": "no such"}, "unknown method")],
)
def test_what_does_not_fit_is_said_in_one_line(
    cards: Any, previewer: Previewer, fields: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        previewer(cards[STREET], Correction.model_validate(fields))


def test_no_preview_of_what_cannot_be_shown_whole(stores: Any, cards: Any, previewer: Previewer) -> None:
    source = stores[0]
    wanted = Correction.model_validate({"strokes": [GREEN]})
    with pytest.raises(ImageFailure, match="too large for a preview"):
        previewer({**cards[STREET], "etag": "other", "bytes": 2**40}, wanted)
    with pytest.raises(StorageError):
        previewer({**cards[STREET], "etag": "other"}, wanted)
    pages = [Image.fromarray(photo(40, 60, seed)) for seed in (1, 2)]
    source.put("two.tif", encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    (info,) = source.list("two.tif")
    with pytest.raises(ImageFailure, match="one picture"):
        previewer({"key": "two.tif", "etag": info.etag, "bytes": info.bytes}, wanted)
