"""Colour a folder or bucket of black-and-white photographs. `--help` says how; docs/ says more."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.cli.ending import leave
from pipeline.commands.colorize import main, parse

__all__ = ["main", "parse"]

if __name__ == "__main__":
    leave(main())
