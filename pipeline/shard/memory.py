"""Memory of large images goes back to the system. Workers keep what they free (`engine.machine`), for images
of the usual size: without this each would sooner or later hold what the largest image of all took."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from functools import cache
from typing import Any

LARGE = 40_000_000
"""Pixels: lightness and colours of such an image have 200 MB in 8 bits, and 320 in 16."""


def give_back_after(pixels: Iterable[int]) -> bool:
    """Give back what is free now, where one of the images had LARGE pixels or more. Whether it did."""
    if _trim() is None or max(pixels, default=0) < LARGE:
        return False
    _trim()(0)
    return True


@cache
def _trim() -> Any:
    """glibc's malloc_trim; None where there is another allocator."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
