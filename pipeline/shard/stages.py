"""The data passed between the stages of a shard; the type says what has been done to an image.

    SourceImage -> fetch -> decode -> PreparedImage -> predict -> PredictedImage -> finish -> LedgerRow

A stage that finishes an image (it failed or is skipped) returns its LedgerRow instead of the next type, and
later stages pass it on. The type parameter of `PreparedImage` and `PredictedImage` says where the pixels
are: an `OpenSource` has them and stays in its process; an `EncodedSource` and a `MasterSource` can be sent
to another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.codecs.in_memory import Decoded
from pipeline.color.real_colour import RealColour
from pipeline.shard.doubt import Doubt
from pipeline.shard.job import SourceImage

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class EncodedSource:
    """The bytes of a source as they were fetched."""

    data: bytes
    content_type: str | None


@dataclass(frozen=True)
class OpenSource:
    """A source with the pixels of its first page, at full resolution if they will be composed."""

    encoded: EncodedSource
    pixels: Decoded


@dataclass(frozen=True)
class MasterSource:
    """A source that need not fit into memory: each pass reads it from the store in strips.

    real_colours: for each page where it has real colour, once the first pass has seen it.
    """

    real_colours: tuple[RealColour | None, ...] = ()


TransferableSource = EncodedSource | MasterSource
LocalSource = OpenSource | MasterSource
S = TypeVar("S", covariant=True)
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class PreparedImage(Generic[S]):
    """An image that the network can see.

    Attributes:
        L_pages: for each page float32[h,w], L* in [0, 100], as `luminance.model_size` has it.
        pictures: guides that are pictures, as methods take them.
        scribbles: a PNG, encoded.
        color_spread: the largest of the pages', as `toning.colour_spread` measures it.
        seconds_decode: the time for decoding.
    """

    image: SourceImage
    source: S
    L_pages: tuple[F32, ...]
    pictures: Mapping[str, F32]
    scribbles: bytes | None
    color_spread: float
    seconds_decode: float

    def with_source(self, source: T) -> PreparedImage[T]:
        """The same with its pixels elsewhere."""
        return PreparedImage(
            self.image,
            source,
            self.L_pages,
            self.pictures,
            self.scribbles,
            self.color_spread,
            self.seconds_decode,
        )

    def predicted(
        self, ab_pages: tuple[F32, ...], seconds: float, doubt: Doubt | None = None
    ) -> PredictedImage[S]:
        """The image with its chroma, which took the network `seconds`, and the doubt about it."""
        return PredictedImage(
            self.image,
            self.source,
            ab_pages,
            self.scribbles,
            self.color_spread,
            self.seconds_decode,
            seconds,
            doubt,
        )


@dataclass(frozen=True, eq=False)
class PredictedImage(Generic[S]):
    """An image with its chroma, ready to be composed.

    Attributes:
        ab_pages: for each page float32[2,h,w], Lab units, any size; empty where hints alone give the colours.
        scribbles, color_spread, seconds_decode: as in `PreparedImage`.
        seconds_predict: its share of the time of the network's call.
        doubt: None if not requested.
    """

    image: SourceImage
    source: S
    ab_pages: tuple[F32, ...]
    scribbles: bytes | None
    color_spread: float
    seconds_decode: float
    seconds_predict: float
    doubt: Doubt | None = None

    def reopened(self, source: T, color_spread: float, seconds: float) -> PredictedImage[T]:
        """The image with its pixels again, which took `seconds` more to decode."""
        return PredictedImage(
            self.image,
            source,
            self.ab_pages,
            self.scribbles,
            color_spread,
            self.seconds_decode + seconds,
            self.seconds_predict,
            self.doubt,
        )


def without_pixels(prepared: PreparedImage[LocalSource]) -> PreparedImage[TransferableSource]:
    """The image in a form that can be sent to another process: the encoded source and the network's input."""
    source = prepared.source
    return prepared.with_source(source.encoded if isinstance(source, OpenSource) else source)
