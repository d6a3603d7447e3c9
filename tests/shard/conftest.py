"""What all tests of shards share: the shipped networks, each loaded once; most of them start many workers."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from pipeline.models.method_list import load_colorizer
from pipeline.models.weights_file import SHIPPED
from pipeline.shard import predictors

_NAMES = {None, *(file.stem for file in SHIPPED.glob("*.safetensors"))}
_load_once = functools.cache(load_colorizer)


def _load(method: str | None, weights: str | None, **options: Any) -> Any:
    """Only what ships: a test's own file may change under its name."""
    if weights in _NAMES and options["contract"] is None:
        return _load_once(method, weights, **options)
    return load_colorizer(method, weights, **options)


@pytest.fixture(autouse=True)
def _networks_are_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictors, "load_colorizer", _load)
