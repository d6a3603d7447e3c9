"""How functions are compiled here: numba on one thread, without GIL or fast-math, cached on disk."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

_Function = TypeVar("_Function", bound=Callable[..., Any])
_log = logging.getLogger(__name__)


def compiled(function: _Function) -> _Function:
    """Compile at the first call, and keep the machine code beside the source or in the user's cache folder.

    Set NUMBA_CACHE_DIR to keep it elsewhere. Where no folder can be written (a read-only container without
    a home) numba refuses to import the function at all: then it is compiled in every process, 2 s each.

    The cache detects changes only in the file of the function itself, so everything that a function uses must
    be an argument, a constant of nature, or defined in the same file.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)  # type: ignore[no-any-return]
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        _log.info("no writable folder to cache %s: set NUMBA_CACHE_DIR", function.__name__)
        return njit(**options)(function)  # type: ignore[no-any-return]
