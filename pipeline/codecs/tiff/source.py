"""A page of a TIFF with more than 8 bits a sample, as uint16: any numbers, any channels of photographs.

libvips decodes; the tags say what its numbers mean (TIFF 6.0): how far they reach, which channel is alpha,
how light follows them. Of 16-bit samples libvips undoes MinIsWhite, of others it does not; colours that are
multiplied by alpha it always divides again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import TiffImagePlugin

from pipeline.codecs import deep
from pipeline.color.spaces import linear_to_srgb
from pipeline.errors import FailureCode, ImageFailure

U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]

_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLES_PER_PIXEL, _EXTRA_SAMPLES = 258, 262, 277, 338
_S_MIN, _S_MAX, _TRANSFER_FUNCTION, _ICC = 340, 341, 301, 34675
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_UNITS_PER_INCH = {2: 1.0, 3: 2.54}  # of a ResolutionUnit: inch, centimetre
_DATA_TABLES = ((273, 279), (324, 325))  # offsets and byte counts, of strips and of tiles
_MIN_IS_WHITE, _RGB, _CMYK = 0, 2, 5
_CHANNELS = {0: 1, 1: 1, _RGB: 3, _CMYK: 4}
_ASSOCIATED, _UNASSOCIATED = 1, 2
_WHITE = 65535
#: The note on a page whose own curve took the place of an assumed sRGB.
CURVE_APPLIED = "its transfer function was applied"


@dataclass
class DeepPage:
    """Not turned: `levels` uint16[H,W] gray, [H,W,3] RGB or [H,W,4] CMYK; `alpha` uint8[H,W] or None."""

    levels: U16
    alpha: U8 | None
    notes: list[str] = field(default_factory=list)


class TiffSource(TiffImagePlugin.TiffImageFile):
    """A TIFF whose tags can be read whatever its pixels are: what Pillow cannot hold libvips decodes."""

    @property
    def bits(self) -> int:
        """Bits of the deepest sample of the page at hand."""
        return int(max(self.tag_v2.get(_BITS_PER_SAMPLE, (1,))))

    def _setup(self) -> None:
        try:
            super()._setup()
        except SyntaxError as error:
            channels = _CHANNELS.get(self.tag_v2.get(_PHOTOMETRIC, 1), 1)
            too_few = self.tag_v2.get(_SAMPLES_PER_PIXEL, 1) < channels
            if "unknown pixel mode" not in str(error) or self.bits <= 8 or too_few:
                raise
            self._mode, self.tile = "F", []
            x, y = self.tag_v2.get(_X_RESOLUTION), self.tag_v2.get(_Y_RESOLUTION)
            unit = _UNITS_PER_INCH.get(self.tag_v2.get(_RESOLUTION_UNIT, 2))
            if x and y and unit:
                self.info["dpi"] = (float(x) * unit, float(y) * unit)
            if _ICC in self.tag_v2:
                self.info["icc_profile"] = self.tag_v2[_ICC]


def read_page(image: TiffSource, data: bytes, page: int) -> DeepPage:
    """The page at hand, number `page` of the file.

    Raises:
        ImageFailure: UNSUPPORTED for other depths and colour spaces, TRUNCATED or CORRUPT for damage.
    """
    _check_data(image, len(data))
    photometric = int(image.tag_v2.get(_PHOTOMETRIC, 1))
    bands = _CHANNELS.get(photometric)
    if image.bits == 12 and image.mode == "I;16":  # of which libvips reads none, and Pillow gray
        image.load()
        gray = np.rint(np.asarray(image, np.uint16) * np.float32(_WHITE / 4095))
        return DeepPage(gray.astype(np.uint16), None)
    if bands is None or image.bits not in (16, 32) or len(set(image.tag_v2[_BITS_PER_SAMPLE])) > 1:
        raise _unsupported(f"a TIFF of {image.bits} bits and photometric interpretation {photometric}")
    array = deep.samples(data, "TIFF", page=page)
    notes: list[str] = []
    extra = tuple(image.tag_v2.get(_EXTRA_SAMPLES, ())) or ((2,) if array.shape[2] == bands + 1 == 4 else ())
    used = bands + (1 if extra and extra[0] in (_ASSOCIATED, _UNASSOCIATED) else 0)
    if array.shape[2] < used:
        raise _unsupported(
            f"a TIFF of {array.shape[2]} channels and photometric interpretation {photometric}"
        )
    levels = _to_u16(array[..., :used], image, notes)
    if photometric == _MIN_IS_WHITE and array.dtype != np.uint16:
        levels[..., 0] = _WHITE - levels[..., 0]
    colours, alpha = levels[..., 0] if bands == 1 else levels[..., :bands], None
    if used > bands:
        cover = levels[..., bands]
        alpha = np.ascontiguousarray(cover >> 8).astype(np.uint8) if int(cover.min()) < _WHITE else None
    return DeepPage(_on_srgb_curve(np.ascontiguousarray(colours), image, bands, notes), alpha, notes)


def _check_data(image: TiffSource, size: int) -> None:
    """libvips gives no reason where the data of a page without compression end early."""
    for offsets, counts in _DATA_TABLES:
        if offsets in image.tag_v2 and counts in image.tag_v2:
            ends = zip(image.tag_v2[offsets], image.tag_v2[counts], strict=False)
            if max((start + count for start, count in ends), default=0) > size:
                raise ImageFailure(
                    FailureCode.TRUNCATED, "the TIFF ends before its image data: the file was cut short"
                )


def _to_u16(array: NDArray[Any], image: TiffSource, notes: list[str]) -> U16:
    """Any numbers to 0..65535: unsigned ones by their depth, others by the range that the file states."""
    if array.dtype == np.uint16:
        return array
    if array.dtype == np.uint8:
        raise _unsupported(f"a TIFF of {image.bits} bits that hold 8")
    if array.dtype == np.uint32:
        notes.append("32-bit samples were rounded to 16")
        return (array >> 16).astype(np.uint16)
    values = array.astype(np.float64)
    if not np.isfinite(values).all():
        raise ImageFailure(FailureCode.CORRUPT, "the TIFF holds samples that are no numbers")
    low, high = _range(values, image, notes)
    return np.rint(np.clip((values - low) / (high - low), 0, 1) * _WHITE).astype(np.uint16)


def _range(values: NDArray[Any], image: TiffSource, notes: list[str]) -> tuple[float, float]:
    if _S_MIN in image.tag_v2 and _S_MAX in image.tag_v2:
        low, high = (float(np.ravel(image.tag_v2[tag])[0]) for tag in (_S_MIN, _S_MAX))
        if low < high:
            return low, high
    least, most = float(values.min()), float(values.max())
    if least >= 0 and most <= 1:
        return 0.0, 1.0
    notes.append(f"samples from {least:g} to {most:g} were taken as black to white")
    return least, most if most > least else least + 1


def _on_srgb_curve(colours: U16, image: TiffSource, bands: int, notes: list[str]) -> U16:
    """A TransferFunction (TIFF 6.0, section 20) says how light follows the samples, where no profile does."""
    table = np.ravel(image.tag_v2.get(_TRANSFER_FUNCTION, ()))
    if _ICC in image.tag_v2 or bands == _CHANNELS[_CMYK] or table.size not in (65536, 3 * 65536):
        return colours
    levels = np.rint(linear_to_srgb(table.astype(np.float64) / _WHITE) * _WHITE).astype(np.uint16)
    curves = levels.reshape(-1, 65536)
    notes.append(CURVE_APPLIED)
    if colours.ndim == 2:
        return np.take(curves[0], colours)
    return np.stack([np.take(curves[min(i, len(curves) - 1)], colours[..., i]) for i in range(3)], axis=-1)


def _unsupported(what: str) -> ImageFailure:
    return ImageFailure(
        FailureCode.UNSUPPORTED, f"{what} is not supported; convert it to gray or RGB of 8 or 16 bits"
    )
