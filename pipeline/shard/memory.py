"""Return the memory of large images to the system. Workers keep what they free (`engine.machine`) for images
of the usual size; without this, each would sooner or later hold as much as the largest image needed."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from functools import cache
from typing import Any

LARGE = 40_000_000
"""Pixels: lightness and colours of such an image have 200 MB in 8 bits, and 320 in 16."""


def give_back_after(pixels: Iterable[int]) -> bool:
    """Return free memory if one of the images had LARGE pixels or more. Returns whether it did."""
    if _trim() is None or max(pixels, default=0) < LARGE:
        return False
    _trim()(0)
    return True


@cache
def _trim() -> Any:
    """glibc's malloc_trim; None where there is another allocator."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
