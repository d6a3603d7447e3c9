"""Decode and encode photographs that fit into memory, in every supported format. The interface of the codecs
to other packages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.codecs.encode import encode
from pipeline.codecs.metadata.block import SourceMeta
from pipeline.codecs.metadata.profiles import through_profile, to_profile
from pipeline.codecs.pixels import DecodeLimits, NoImage, read_pixels
from pipeline.codecs.thumbnail_pixels import small_source
from pipeline.codecs.upright import Pixels
from pipeline.color.light import to_srgb8
from pipeline.color.luminance import downscale_luminance, luminance_u16
from pipeline.color.real_colour import RealColour, find_real_colour
from pipeline.color.toning import colour_spread
from pipeline.records import Status

__all__ = [
    "DecodeLimits",
    "Decoded",
    "Skip",
    "SourceMeta",
    "decode",
    "encode",
    "finish",
    "read_back",
    "to_profile",
]

_WHITE_U16 = 65535


@dataclass(frozen=True)
class KeptColour:
    """The real colour in a scan: where it is, and the source's colours there.

    rgb8: uint8[h,w,3] sRGB of the rectangle `RealColour.box`.
    """

    real_colour: RealColour
    rgb8: NDArray[np.uint8]


@dataclass(frozen=True)
class Skip:
    """A skipped object: `skipped_other` (not an image) or `skipped_color` (has real colour).

    small: as in `Decoded`.
    """

    status: Status
    message: str
    width: int | None = None
    height: int | None = None
    mode: str | None = None
    pages: int | None = None
    color_spread: float | None = None
    small: NDArray[np.uint8] | None = None


@dataclass
class Decoded:
    """A photograph ready for colour.

    Attributes:
        L_u16: uint16[H,W], CIE L* with 65535 for L* 100, upright.
        alpha: uint8 or uint16[H,W], or None where all is opaque.
        model_L: float32[h,w], L* in [0, 100], h and w multiples of 8: the network's input.
        mode: Pillow mode of the source.
        meta: what the result carries over from the source.
        color_spread: chroma beyond toning, CIELAB ab units (`toning.colour_spread`); 0 for gray.
        is_color: whether color_spread exceeds the threshold; True only if colour is not skipped.
        pages: how many the file has; this is one of them.
        depth: bits per sample of the source, 8 or 16: what is kept.
        real_colour: where an otherwise gray or toned picture has real colour; None: nowhere.
        note: a note for the ledger, or None.
        small: its thumbnail, made by `thumbnail_pixels.small_source`, if requested.
    """

    L_u16: NDArray[np.uint16]
    alpha: NDArray[Any] | None
    model_L: NDArray[np.float32]
    mode: str
    meta: SourceMeta
    color_spread: float
    is_color: bool
    note: str | None
    depth: int = 8
    pages: int = 1
    real_colour: KeptColour | None = None
    small: NDArray[np.uint8] | None = None

    @property
    def width(self) -> int:
        """Pixels across, upright."""
        return int(self.L_u16.shape[1])

    @property
    def height(self) -> int:
        """Pixels down, upright."""
        return int(self.L_u16.shape[0])

    @property
    def format(self) -> str:
        """Pillow's name of the source format."""
        return self.meta.format

    @property
    def icc(self) -> bytes | None:
        """The source's RGB profile; None where the result cannot carry it."""
        return self.meta.icc

    @property
    def exif(self) -> bytes | None:
        """The source's EXIF without orientation, thumbnail and file layout."""
        return self.meta.exif


def decode(
    data: bytes,
    key: str,
    content_type: str | None,
    limits: DecodeLimits,
    *,
    model_side: int,
    skip_color: bool,
    color_threshold: float,
    page: int = 0,
    thumbnail: int | None = None,
) -> Decoded | Skip:
    """Decode one file (or page) in this process; `isolated.image.IsolatedDecoder` does it under limits.

    thumbnail: the longest side of its thumbnail in pixels; None: no thumbnail.

    Returns:
        The photograph, or why it is skipped: not an image and not claiming to be one, or it has real colour.

    Raises:
        ImageFailure: see `pixels.read_pixels`.
    """
    found = read_pixels(data, key, content_type, limits, page)
    colour = {"skip_color": skip_color, "color_threshold": color_threshold}
    return finish(found, model_side=model_side, thumbnail=thumbnail, **colour)  # type: ignore[arg-type]


def finish(
    pixels: Pixels | NoImage,
    *,
    model_side: int,
    skip_color: bool,
    color_threshold: float,
    thumbnail: int | None = None,
) -> Decoded | Skip:
    """Compute lightness and model input of decoded pixels; a Skip for real colour that should be left alone.

    Other arguments as `decode`.
    """
    if isinstance(pixels, NoImage):
        return Skip(Status.SKIPPED_OTHER, pixels.message)
    array, alpha = pixels.array, pixels.alpha
    height, width = array.shape[:2]
    rgb8 = None if array.ndim == 2 else _visible(pixels.srgb8(), alpha)
    spread = 0.0 if rgb8 is None else colour_spread(rgb8)
    small = None if thumbnail is None else small_source(pixels, thumbnail)
    if spread > color_threshold and skip_color:
        message = f"already has real colour (spread {spread:.1f}, threshold {color_threshold:g})"
        return Skip(Status.SKIPPED_COLOR, message, width, height, pixels.mode, pixels.pages, spread, small)
    L_u16 = luminance_u16(array, pixels.light)
    return Decoded(
        L_u16=L_u16,
        alpha=alpha,
        model_L=downscale_luminance(L_u16 if alpha is None else _on_white(L_u16, alpha), model_side),
        mode=pixels.mode,
        meta=pixels.meta,
        color_spread=spread,
        is_color=spread > color_threshold,
        note="; ".join(pixels.notes) or None,
        depth=pixels.depth,
        pages=pixels.pages,
        real_colour=None if rgb8 is None or spread > color_threshold else _real_colour(rgb8),
        small=small,
    )


def _real_colour(rgb8: NDArray[np.uint8]) -> KeptColour | None:
    found = find_real_colour(rgb8)
    return None if found is None else KeptColour(found, rgb8[found.box(*rgb8.shape[:2])].copy())


def read_back(rgb: NDArray[Any], icc: bytes) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """`L_u16` and sRGB of 8 bits of pixels uint8 or uint16[H,W,3] under an RGB profile, as a source's are
    read."""
    samples, light = through_profile(rgb, icc)
    return luminance_u16(samples, light), to_srgb8(samples, light)


def _visible(rgb8: NDArray[np.uint8], alpha: NDArray[Any] | None) -> NDArray[np.uint8]:
    """Replace transparent pixels, which may hide any colour, with white before judging colour."""
    return rgb8 if alpha is None else np.where(alpha[..., None] == 0, np.uint8(255), rgb8)


def _on_white(L_u16: NDArray[np.uint16], alpha: NDArray[Any]) -> NDArray[np.uint16]:
    cover = alpha.astype(np.float32) / np.iinfo(alpha.dtype).max
    return np.rint(L_u16 * cover + _WHITE_U16 * (1 - cover)).astype(np.uint16)
