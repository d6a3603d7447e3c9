"""Fit and measure how doubtful the results of a network are. `--help` says how."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.cli.ending import leave
from pipeline.commands.doubt import main, parse

__all__ = ["main", "parse"]

if __name__ == "__main__":
    leave(main())
