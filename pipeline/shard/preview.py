"""Preview one image with a correction that somebody is drawing: small and quickly, coloured as a run would.

The source is decoded once and cached at small size, and the network's prediction is cached per method, so a
new stroke only needs the hints to be spread.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.codecs.in_memory import Decoded, KeptColour
from pipeline.color.luminance import downscale_luminance
from pipeline.color.spaces import L_U16_SCALE
from pipeline.config.job import JobConfig
from pipeline.errors import ConfigError, FailureCode, ImageFailure
from pipeline.guides.corrections import drawn_guide
from pipeline.guides.guide import Guide
from pipeline.review.correction import Correction
from pipeline.shard.compose.keeper import ColourKeeper
from pipeline.shard.decode import decode_guide, decode_item, open_decoder
from pipeline.shard.hints import color_guided
from pipeline.shard.job import Job
from pipeline.shard.open_guides import methods_of, predicts
from pipeline.shard.predict import Predictor
from pipeline.shard.predictors import open_predictor
from pipeline.storage import Store

#: Longest side of a preview, and of the hints in it, in pixels. Runs spread hints at `guides.side`; at this
#: size an image with strokes takes a third of a second.
SIDE = 768
HINT_SIDE = 384
_KEPT = 64  # images, each of a few MB
_QUALITY = 92

Card = Mapping[str, Any]
F32 = NDArray[np.float32]
T = TypeVar("T")


@dataclass(frozen=True)
class _Small:
    """A source at preview size; `model_L` as the network sees it."""

    l_u16: NDArray[np.uint16]
    model_L: F32
    real_colour: KeptColour | None
    pages: int


class Previewer:
    """Colours previews with the weights and settings of a run, on one core. Thread-safe.

    Args:
        source: the sources. out: the output, whose results lend colours.
        config: of the run.

    Raises:
        ConfigError, WeightsError: the weights cannot be loaded.
    """

    def __init__(self, source: Store, out: Store, config: JobConfig) -> None:
        self.source, self.out, self.config = source, out, config
        self.methods = methods_of(config)
        self._lock = threading.Lock()
        self._decoder = open_decoder(config)
        self._predictors: dict[str, Predictor] = {}
        self._sources: OrderedDict[Hashable, _Small] = OrderedDict()
        self._chroma: OrderedDict[Hashable, F32] = OrderedDict()
        if predicts(config.model.method) and not self.methods.needs.get(config.model.method):
            self._predictor(config.model.method)

    def __call__(self, card: Card, correction: Correction, lender: Card | None = None) -> bytes:
        """The image as JPEG, at most SIDE pixels long.

        Args:
            card: its key, etag and bytes.
            lender: key, output_key and output_sha256 of the image that the correction takes as reference.

        Raises:
            ImageFailure: it cannot be coloured this way. ConfigError: the method and the guides do not fit.
                StorageError: the source cannot be read.
        """
        guide = drawn_guide(correction, min(self.config.guides.side, HINT_SIDE))
        given = guide.given | (frozenset({"reference"}) if lender is not None else frozenset())
        try:
            method = self.methods.choose(correction.method, given)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        with self._lock:
            small = _kept(self._sources, (card["key"], card["etag"]), lambda: self._decoded(card))
            if small.pages > 1 and guide.has_hints:
                raise ImageFailure(
                    FailureCode.GUIDE_INVALID, "strokes are for one picture, not several pages"
                )
            ab = self._predicted(card, small, method, lender) if predicts(method) else None
        return _jpeg(self._colored(small, ab, guide))

    def close(self) -> None:
        """End the decoder's process."""
        self._decoder.close()

    def _colored(self, small: _Small, ab: F32 | None, guide: Guide) -> NDArray[np.uint8]:
        rgb: NDArray[np.uint8] = color_guided(small.l_u16, ab, guide, chroma=self.config.model.chroma).rgb
        if small.real_colour is not None and self.config.model.keep_color:
            real = small.real_colour.real_colour
            down, across = real.box(*rgb.shape[:2])
            keeper = ColourKeeper(real, *rgb.shape[:2])
            own = small.real_colour.rgb8
            keeper.lay(rgb[down, across], small.l_u16[down, across], own, down.start, across.start)
        return rgb

    def _decoded(self, card: Card) -> _Small:
        if (card["bytes"] or 0) >= min(self.config.limits.stream_bytes, self.config.limits.memory // 2):
            raise ImageFailure(FailureCode.TOO_LARGE, "the source is too large for a preview")
        fetched = self.source.get(str(card["key"]), if_etag=str(card["etag"]))
        model = self.config.model.model_copy(update={"skip_color": False})
        config = self.config.model_copy(update={"model": model})
        decoded = decode_item(self._decoder, str(card["key"]), fetched.data, fetched.content_type, config)
        if not isinstance(decoded, Decoded):
            code = getattr(decoded, "code", FailureCode.NOT_AN_IMAGE)
            raise ImageFailure(code, decoded.message)
        return _small(decoded)

    def _predicted(self, card: Card, small: _Small, method: str, lender: Card | None) -> F32:
        name = (card["key"], card["etag"], method, None if lender is None else lender["output_sha256"])

        def predict() -> F32:
            pictures = {} if lender is None else {"reference": self._lent(lender)}
            (ab,) = self._predictor(method)([small.model_L], [pictures])
            return ab

        return _kept(self._chroma, name, predict)

    def _predictor(self, method: str) -> Predictor:
        if method not in self._predictors:
            job = Job(self.config, self.source.uri, self.out.uri, "preview", "", "")
            self._predictors[method] = open_predictor(job, "cpu", method)
        return self._predictors[method]

    def _lent(self, lender: Card) -> F32:
        data = self.out.get(str(lender["output_key"])).data
        if hashlib.sha256(data).hexdigest() != lender["output_sha256"]:
            raise ImageFailure(FailureCode.GUIDE_INVALID, "the result that lends its colours has changed")
        return decode_guide(self._decoder, "reference", str(lender["key"]), data, self.config)


def _kept(kept: OrderedDict[Hashable, T], name: Hashable, make: Callable[[], T]) -> T:
    """The cached value for the name, or a new one from `make`; evicts the least recently used value."""
    if name not in kept:
        kept[name] = make()
        if len(kept) > _KEPT:
            kept.popitem(last=False)
    kept.move_to_end(name)
    return kept[name]


def _small(decoded: Decoded) -> _Small:
    """The source at preview size; a smaller one stays as it is."""
    l_u16, real = decoded.L_u16, decoded.real_colour
    if max(l_u16.shape) > SIDE:
        l_u16 = np.rint(downscale_luminance(l_u16, SIDE, multiple=1) * L_U16_SCALE).astype(np.uint16)
    if real is not None:
        down, across = real.real_colour.box(*l_u16.shape)
        size = (across.stop - across.start, down.stop - down.start)
        colours = np.asarray(Image.fromarray(real.rgb8).resize(size, Image.Resampling.BOX))
        real = KeptColour(real.real_colour, colours)
    return _Small(l_u16, decoded.model_L, real, decoded.pages)


def _jpeg(rgb: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    return buffer.getvalue()
