"""Compiled functions work even if nothing can be cached."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from pipeline.color.compiled import compiled


def test_a_function_that_cannot_be_cached_is_compiled_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    names: dict[str, Any] = {}
    # a function without a source file: numba has no place for its machine code and refuses to cache it
    exec(compile("def twice(x):\n    return x + x\n", "/nowhere/made_up.py", "exec"), names)
    with caplog.at_level(logging.INFO):
        twice = compiled(names["twice"])
    assert "NUMBA_CACHE_DIR" in caplog.text
    assert twice(21) == 42
    assert twice.signatures, "was run as plain Python"
