"""Decode fetched bytes to lightness, or to the reason why that is not possible. Independent of Ray."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.codecs.in_memory import Decoded, DecodeLimits, Skip
from pipeline.codecs.isolated.image import IsolatedDecoder
from pipeline.codecs.pixels import NoImage
from pipeline.config.job import JobConfig
from pipeline.errors import FailureCode, ImageFailure
from pipeline.guides.pictures import F32, picture_input

Skipped = Skip


@dataclass(frozen=True)
class Failed:
    """An image that cannot be coloured, for its ledger row."""

    code: FailureCode
    message: str


def open_decoder(config: JobConfig) -> IsolatedDecoder:
    """A decoder under the job's limits; the caller closes it."""
    return IsolatedDecoder(memory=config.limits.memory, seconds=config.limits.seconds)


def decode_item(
    decoder: IsolatedDecoder,
    key: str,
    data: bytes,
    content_type: str | None,
    config: JobConfig,
    page: int = 0,
    model_only: bool = False,
    thumbnail: int | None = None,
) -> Decoded | Failed | Skipped:
    """Decode one source object, or one of its pages (from 0). A bad image gives a value, not an exception.

    model_only: only the network's input is needed, so a large JPEG may be decoded at reduced size.
    thumbnail: as in `in_memory.decode`.

    Raises:
        RunError: the decoder process cannot be started, which is not the image's fault.
    """
    enough = config.model.side if model_only else None
    limits = DecodeLimits(pixels=config.limits.pixels, memory=config.limits.memory, enough=enough)
    try:
        return decoder.decode(
            data,
            key,
            content_type,
            limits,
            model_side=config.model.side,
            skip_color=config.model.skip_color,
            color_threshold=config.model.color_threshold,
            page=page,
            thumbnail=thumbnail,
        )
    except ImageFailure as failure:
        return Failed(failure.code, failure.message)


def decode_guide(decoder: IsolatedDecoder, kind: str, name: str, data: bytes, config: JobConfig) -> F32:
    """A picture as the guide of this kind that a method takes (`pictures.picture_input`).

    Raises:
        ImageFailure: GUIDE_INVALID where it cannot be decoded, is no picture, or a reference without colour.
        RunError: as `decode_item`.
    """
    limits = DecodeLimits(pixels=config.limits.pixels, memory=config.limits.memory)
    try:
        pixels = decoder.pixels(data, name, None, limits)
        if isinstance(pixels, NoImage):
            raise ImageFailure(FailureCode.NOT_AN_IMAGE, pixels.message)
        return picture_input(kind, pixels, config.model.side)
    except ImageFailure as failure:
        raise ImageFailure(FailureCode.GUIDE_INVALID, f"its {kind} {name!r}: {failure.message}") from None
    except ValueError as error:
        raise ImageFailure(FailureCode.GUIDE_INVALID, f"its {kind} {name!r} {error}") from None
