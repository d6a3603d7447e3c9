"""Encode a thumbnail: a JPEG of pixels that are already small, without the source's metadata.

Separate from the code that reduces pixels, which needs numba, so that commands that must answer quickly can
use only this.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Optimised Huffman tables would save 2 % of a thumbnail's bytes, for as much time again as the rest takes.
_JPEG_QUALITY = 82


def thumbnail_jpeg(small: NDArray[np.uint8] | Image.Image) -> bytes:
    """A thumbnail, uint8[h,w] or [h,w,3], or an image of mode L or RGB, as JPEG without metadata of its
    source."""
    image = small if isinstance(small, Image.Image) else Image.fromarray(small)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()
