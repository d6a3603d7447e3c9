"""What all tests of shards share, because most of them start many workers: the shipped networks, each loaded
once, and the decoder's processes, which workers use one after the other."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.codecs.isolated.image import IsolatedDecoder
from pipeline.models.method_list import load_colorizer
from pipeline.models.weights_location import SHIPPED
from pipeline.shard import decode, predictors

_NAMES = {None, *(file.stem for file in SHIPPED.glob("*.safetensors"))}
_load_once = functools.cache(load_colorizer)


def _load(method: str | None, weights: str | None, **options: Any) -> Any:
    """Share only shipped weights: a test's own file may change but keep its name."""
    if weights in _NAMES and options["contract"] is None:
        return _load_once(method, weights, **options)
    return load_colorizer(method, weights, **options)


class _Lent(IsolatedDecoder):
    """When closed, it keeps its process for the next worker that needs one like it, unless it is busy."""

    free: list[_Lent]
    at_work = False

    def pixels(self, *arguments: Any, **named: Any) -> Any:
        self.at_work = True
        try:
            return super().pixels(*arguments, **named)
        finally:
            self.at_work = False

    def close(self) -> None:
        if self.at_work:
            self.end()
        elif self not in self.free:
            self.free.append(self)

    def end(self) -> None:
        super().close()


@pytest.fixture(scope="package")
def _lent_decoders() -> Iterator[list[_Lent]]:
    free: list[_Lent] = []
    yield free
    for decoder in free:
        decoder.end()


@pytest.fixture(autouse=True)
def _started_once(monkeypatch: pytest.MonkeyPatch, _lent_decoders: list[_Lent]) -> None:
    def lend(*, memory: int, seconds: float) -> _Lent:
        for decoder in _lent_decoders:
            if (decoder.memory, decoder.seconds) == (memory, seconds):
                _lent_decoders.remove(decoder)
                return decoder
        decoder = _Lent(memory=memory, seconds=seconds)
        decoder.free = _lent_decoders
        return decoder

    monkeypatch.setattr(decode, "IsolatedDecoder", lend)
    monkeypatch.setattr(predictors, "load_colorizer", _load)
