"""The decode stage: configuration in, one of three outcomes out, never an exception for a bad image."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from pipeline.codecs.in_memory import Decoded
from pipeline.codecs.isolated.image import IsolatedDecoder
from pipeline.config.job import JobConfig, LimitsConfig, ModelConfig
from pipeline.config.loading import load
from pipeline.errors import FailureCode
from pipeline.records import Status
from pipeline.shard.decode import Failed, Skipped, decode_item, open_decoder
from tests.support.paths import SAMPLES
from tests.support.samples import colourful, encoded, photo

CONFIG = load(JobConfig)
PHOTO = SAMPLES / "tetons-snake-river-1942.jpg"


@pytest.fixture(scope="module")
def decoder() -> Iterator[IsolatedDecoder]:
    with open_decoder(CONFIG) as decoder:
        yield decoder


def test_the_limits_of_the_configuration_hold(decoder: IsolatedDecoder) -> None:
    assert (decoder.memory, decoder.seconds) == (CONFIG.limits.memory, CONFIG.limits.seconds)
    small = CONFIG.model_copy(update={"limits": LimitsConfig(pixels=5000)})
    outcome = decode_item(decoder, "a.png", encoded(photo(), "PNG"), None, small)
    assert isinstance(outcome, Failed)
    assert outcome.code == FailureCode.TOO_LARGE
    assert "limits.pixels" in outcome.message


def test_the_model_settings_reach_the_decoder(decoder: IsolatedDecoder) -> None:
    config = CONFIG.model_copy(update={"model": ModelConfig(side=64, skip_color=False)})
    outcome = decode_item(decoder, "a.png", encoded(colourful(), "PNG"), None, config)
    assert isinstance(outcome, Decoded)
    assert max(outcome.model_L.shape) == 64
    assert outcome.is_color


def test_bad_and_other_objects_are_values(decoder: IsolatedDecoder) -> None:
    bad = decode_item(decoder, "a.jpg", b"<html>", "image/jpeg", CONFIG)
    assert isinstance(bad, Failed)
    assert bad.code == FailureCode.NOT_AN_IMAGE
    other = decode_item(decoder, "readme.txt", b"words", "text/plain", CONFIG)
    assert isinstance(other, Skipped)
    assert (other.status, other.width) == (Status.SKIPPED_OTHER, None)
    colour = decode_item(decoder, "a.png", encoded(colourful(), "PNG"), None, CONFIG)
    assert isinstance(colour, Skipped)
    assert (colour.status, colour.width, colour.height) == (Status.SKIPPED_COLOR, 90, 60)


def test_a_small_picture_shows_the_network_what_the_whole_one_does(decoder: IsolatedDecoder) -> None:
    config = CONFIG.model_copy(update={"model": ModelConfig(side=64)})
    with Image.open(PHOTO) as image:
        large = image.convert("L").resize((1200, 900))
    data = encoded(large, "JPEG")
    whole = decode_item(decoder, "a.jpg", data, None, config)
    small = decode_item(decoder, "a.jpg", data, None, config, model_only=True)
    assert isinstance(whole, Decoded)
    assert isinstance(small, Decoded)
    assert (small.height, small.width) == (113, 150)  # 1/8: at least twice as many as the network sees
    assert small.model_L.shape == whole.model_L.shape == (48, 64)
    assert np.abs(small.model_L - whole.model_L).mean() < 1
    cut = decode_item(decoder, "a.jpg", data[: len(data) // 2], None, config, model_only=True)
    assert isinstance(cut, Failed)
    assert cut.code == FailureCode.TRUNCATED
