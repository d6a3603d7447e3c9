"""Ray's notice is left out of stderr; everything else on stderr stays."""

from __future__ import annotations

import os
import sys

import pytest

from pipeline.engine.ray_notice import without_level_notice


def test_only_the_notice_is_left_out(capfd: pytest.CaptureFixture[str]) -> None:
    def speak() -> None:
        with without_level_notice():
            print("of python", file=sys.stderr)
            sys.stderr.flush()
            os.write(2, b"[I 12] Set ray log level from environment variable X to 3\nof C++\n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        speak()
    print("after", file=sys.stderr)
    assert capfd.readouterr().err == "of python\nof C++\nafter\n"
