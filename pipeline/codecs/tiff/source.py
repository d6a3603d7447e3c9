"""Read a page of a TIFF that Pillow cannot represent, as uint8 or uint16, with any sample type.

libvips decodes; the tags say what its numbers mean (TIFF 6.0): how far they reach, which channel is alpha.
Of 16-bit samples libvips undoes MinIsWhite, of others it does not; colours that are multiplied by alpha it
always divides again. CIELAB (TIFF 6.0, section 23; TIFF technical note on ICCLAB) it gets as if it were RGB.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import ImagePalette, TiffImagePlugin

from pipeline.codecs import deep_pixels
from pipeline.codecs.sample_light import ColourSpaceStatement, Statement, tiff_statements
from pipeline.codecs.tiff import lab
from pipeline.codecs.tiff.big_endian import BIG_ENDIAN_BIG, BigEndianFile
from pipeline.codecs.tiff.directories import (
    EXTRA_SAMPLES,
    PHOTOMETRIC,
    Channels,
    Directory,
    channels,
    retagged,
)
from pipeline.errors import FailureCode, ImageFailure

U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]
Levels = NDArray[Any]  # uint8 or uint16

_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLES_PER_PIXEL, _COLOUR_MAP = 258, 262, 277, 320
_COMPRESSION, _JPEG, _WEBP = 259, 7, 50001
_SAMPLE_FORMAT, _SIGNED = 339, 2
_PLANAR_CONFIGURATION, _SEPARATE, _ASSOCIATED = 284, 2, 1
_S_MIN, _S_MAX, _DECODE, _ICC = 340, 341, 433, 34675
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_UNITS_PER_INCH = {2: 1.0, 3: 2.54}  # of a ResolutionUnit: inch, centimetre
_DATA_TABLES = ((273, 279), (324, 325))  # offsets and byte counts, of strips and of tiles
_MIN_IS_WHITE, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 2, 3, 5, 6
#: Colour channels by photometric interpretation.
CHANNELS = {_MIN_IS_WHITE: 1, 1: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3, **dict.fromkeys(lab.KINDS, 3)}
_READ_HERE = {_MIN_IS_WHITE, 1, _RGB, _CMYK, *lab.KINDS}
_WHITE = 65535


@dataclass
class DeepPage:
    """Not turned: `levels` uint8 or uint16, [H,W] gray, [H,W,3] RGB or [H,W,4] CMYK; `alpha` uint8 or
    uint16[H,W], or None; `depth`: bits of the samples in the file, 8 or 16; `stated`: what the levels mean,
    where that does not follow from the file's tags."""

    levels: Levels
    alpha: Levels | None
    depth: int
    notes: list[str] = field(default_factory=list)
    stated: ColourSpaceStatement | None = None


class TiffSource(TiffImagePlugin.TiffImageFile):
    """A TIFF whose tags can be read whatever its pixels are: what Pillow cannot hold libvips decodes."""

    _by_libvips = False  # a big-endian BigTIFF, whose directories Pillow reads here but not its pixels

    def _open(self) -> None:
        file = self.fp
        assert file is not None
        self._by_libvips = file.read(4) == BIG_ENDIAN_BIG
        file.seek(0)
        if not self._by_libvips:
            super()._open()
            return
        self.fp = cast(Any, BigEndianFile(file))
        super()._open()
        self.fp = self._fp = file

    @property
    def bits(self) -> int:
        """Bits of the deepest sample of the page at hand."""
        return int(max(self.tag_v2.get(_BITS_PER_SAMPLE, (1,))))

    @property
    def photometric(self) -> int:
        """Of the page at hand."""
        return int(self.tag_v2.get(_PHOTOMETRIC, 1))

    @property
    def is_plain(self) -> bool:
        """Whether Pillow reads the page rightly: no more than 8 bits, no channel beyond the colours."""
        colours = CHANNELS.get(self.photometric, 1)
        if self.is_jpeg_with_more and self.mode != "F":
            return True
        if self._compression_scheme == _WEBP or _SIGNED in self.tag_v2.get(_SAMPLE_FORMAT, ()):
            return False
        more = self._by_libvips or int(self.tag_v2.get(_SAMPLES_PER_PIXEL, 1)) > colours
        return self.bits <= 8 and self.photometric not in lab.KINDS and not (more and self._is_read_here)

    @property
    def _is_read_here(self) -> bool:
        return self.photometric in _READ_HERE and self.bits >= 8

    @property
    def is_jpeg_with_more(self) -> bool:
        """Whether it is JPEG-compressed and has channels beyond the colours, which libvips cannot decode."""
        more = int(self.tag_v2.get(_SAMPLES_PER_PIXEL, 1)) > CHANNELS.get(self.photometric, 1)
        return more and self.tag_v2.get(_COMPRESSION) == _JPEG

    def channels(self, samples: int) -> Channels:
        """Which of so many is alpha, and what is left out."""
        extra = tuple(self.tag_v2[EXTRA_SAMPLES]) if EXTRA_SAMPLES in self.tag_v2 else None
        return channels(CHANNELS.get(self.photometric, 1), samples, extra)

    @property
    def decode_ranges(self) -> tuple[float, ...] | None:
        """The numbers of the least and greatest sample of each channel, by the tag Decode, or None."""
        values = tuple(float(value) for value in np.ravel(self.tag_v2.get(_DECODE, ())))
        return values if len(values) == 6 and np.isfinite(values).all() else None

    @property
    def has_gray_planes(self) -> bool:
        """Whether gray and further channels are stored in separate planes, which libvips mixes up."""
        separate = self.tag_v2.get(_PLANAR_CONFIGURATION, 1) == _SEPARATE
        gray = CHANNELS.get(self.photometric) == 1 and self.photometric != _PALETTE
        return bool(separate and gray and self.tag_v2.get(_SAMPLES_PER_PIXEL, 1) > 1)

    def statements(self) -> list[Statement]:
        """What the page's tags say of its samples."""
        icc = self.tag_v2.get(_ICC)
        return tiff_statements(self.tag_v2, icc if isinstance(icc, bytes) and icc else None, self.bits)

    @property
    def _compression_scheme(self) -> int:
        return int(self.tag_v2.get(_COMPRESSION, 1))

    def _setup(self) -> None:
        if self._compression_scheme not in TiffImagePlugin.COMPRESSION_INFO:
            raise _unsupported(f"a TIFF of compression scheme {self._compression_scheme}")
        try:
            super()._setup()
        except (SyntaxError, IndexError) as error:  # the second for planes that it has no letters for
            channels = CHANNELS.get(self.photometric, 1)
            too_few = self.tag_v2.get(_SAMPLES_PER_PIXEL, 1) < channels
            known = isinstance(error, SyntaxError) and "unknown pixel mode" not in str(error)
            if known or not (self.bits > 8 or self._is_read_here) or too_few:
                raise
            self._mode, self.tile = "F", []
            x, y = self.tag_v2.get(_X_RESOLUTION), self.tag_v2.get(_Y_RESOLUTION)
            unit = _UNITS_PER_INCH.get(self.tag_v2.get(_RESOLUTION_UNIT, 2))
            if x and y and unit:
                self.info["dpi"] = (float(x) * unit, float(y) * unit)
            if _ICC in self.tag_v2:
                self.info["icc_profile"] = self.tag_v2[_ICC]
        if self.mode in ("P", "PA") and _COLOUR_MAP in self.tag_v2:
            entries = np.asarray(self.tag_v2[_COLOUR_MAP])
            if entries.size and int(entries.max()) < 256:  # 8 bits, as libtiff's tools take them too
                self.palette = ImagePalette.raw("RGB;L", entries.astype(np.uint8).tobytes())


def read_page(image: TiffSource, data: bytes, directory: Directory) -> DeepPage:
    """The page at hand.

    Raises:
        ImageFailure: UNSUPPORTED for other depths and colour spaces, TRUNCATED or CORRUPT for damage.
    """
    _check_data(image, len(data))
    photometric = image.photometric
    bands = CHANNELS.get(photometric)
    if image.bits == 12 and image.mode == "I;16":  # of which libvips reads none, and Pillow gray
        image.load()
        gray = np.rint(np.asarray(image, np.uint16) * np.float32(_WHITE / 4095))
        return DeepPage(gray.astype(np.uint16), None, 16)
    depths = set(image.tag_v2[_BITS_PER_SAMPLE])
    if bands is None or photometric not in _READ_HERE or depths not in ({8}, {16}, {32}):
        raise _unsupported(f"a TIFF of {image.bits} bits and photometric interpretation {photometric}")
    extra = tuple(image.tag_v2[EXTRA_SAMPLES]) if EXTRA_SAMPLES in image.tag_v2 else None
    gray_planes = image.has_gray_planes
    if gray_planes and extra and _ASSOCIATED in extra:
        raise _unsupported("a TIFF of gray and premultiplied alpha in planes of their own")
    if photometric in lab.KINDS or gray_planes:  # of which libvips knows less than of RGB
        data = retagged(data, directory, {PHOTOMETRIC: _RGB})
    array = deep_pixels.samples(data, "TIFF", page=directory.index)
    if array.shape[2] < bands:
        raise _unsupported(
            f"a TIFF of {array.shape[2]} channels and photometric interpretation {photometric}"
        )
    rule = image.channels(array.shape[2])
    notes = [rule.note] if rule.note else []
    if rule.alpha is not None and extra:
        array = _with_alpha(array, data, directory, extra, (bands, rule.alpha))
    kept = list(range(bands)) + ([] if rule.alpha is None else [rule.alpha])
    levels = _to_levels(array[..., kept], image, notes)
    undone = array.dtype in (np.uint8, np.uint16) and not gray_planes
    if photometric == _MIN_IS_WHITE and not undone:
        levels[..., 0] = np.iinfo(levels.dtype).max - levels[..., 0]
    colours = np.ascontiguousarray(levels[..., 0] if bands == 1 else levels[..., :bands])
    depth = 8 if array.dtype == np.uint8 else 16
    alpha = None if rule.alpha is None else _alpha(levels[..., bands])
    if photometric in lab.KINDS:
        return DeepPage(
            lab.to_xyz16(colours, photometric, image.decode_ranges), alpha, depth, notes, lab.MEANING
        )
    return DeepPage(colours, alpha, depth, notes)


def _with_alpha(
    array: Levels, data: bytes, directory: Directory, extra: tuple[int, ...], channels: tuple[int, int]
) -> Levels:
    """The samples with colours that are not multiplied with alpha, whatever libvips took for it.

    What it divided by an alpha of nothing is lost, and of several channels it takes the last for alpha: then
    they are read once more, as if there were none. `channels`: how many of colour, and which one is alpha.
    """
    bands, alpha = channels
    associated = extra[alpha - bands] == _ASSOCIATED
    if not (associated and len(extra) > 1) and array[..., alpha].any():
        return array
    array = deep_pixels.samples(retagged(data, directory, {EXTRA_SAMPLES: 0}), "TIFF", page=directory.index)
    return _divided(array, bands, alpha) if associated and array[..., alpha].any() else array


def _divided(array: Levels, bands: int, alpha: int) -> Levels:
    """Colours that were multiplied by alpha, without it."""
    if array.dtype not in (np.uint8, np.uint16):
        raise _unsupported("a TIFF of premultiplied alpha among other channels, of these samples")
    most = np.iinfo(array.dtype).max
    cover = np.maximum(array[..., alpha, None], 1).astype(np.float64) / most
    divided = array.copy()
    divided[..., :bands] = np.rint(np.clip(array[..., :bands] / cover, 0, most))
    return divided


def _alpha(cover: Levels) -> Levels | None:
    """None where all is opaque."""
    return None if int(cover.min()) == np.iinfo(cover.dtype).max else np.ascontiguousarray(cover)


def _check_data(image: TiffSource, size: int) -> None:
    """libvips gives no reason where the data of a page without compression end early."""
    for offsets, counts in _DATA_TABLES:
        if offsets in image.tag_v2 and counts in image.tag_v2:
            ends = zip(image.tag_v2[offsets], image.tag_v2[counts], strict=False)
            if max((start + count for start, count in ends), default=0) > size:
                raise ImageFailure(
                    FailureCode.TRUNCATED, "the TIFF ends before its image data: the file was cut short"
                )


def _to_levels(array: NDArray[Any], image: TiffSource, notes: list[str]) -> Levels:
    """Any numbers to 0..255 or 0..65535: unsigned ones by their depth, others by the range that the file
    states."""
    if array.dtype == np.uint16 or (array.dtype == np.uint8 and image.bits == 8):
        return array
    if array.dtype == np.uint8:
        raise _unsupported(f"a TIFF of {image.bits} bits that hold 8")
    if array.dtype == np.uint32:
        notes.append("32-bit samples were rounded to 16")
        return (array >> 16).astype(np.uint16)
    values = array.astype(np.float64)
    if not np.isfinite(values).all():
        raise ImageFailure(FailureCode.CORRUPT, "the TIFF holds samples that are not numbers")
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


def _unsupported(what: str) -> ImageFailure:
    return ImageFailure(
        FailureCode.UNSUPPORTED, f"{what} is not supported; convert it to gray or RGB of 8 or 16 bits"
    )
