"""Choose how a trained network decodes, on photographs set aside from training. `--help` says how."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.cli.ending import leave
from pipeline.commands.choose_decoding import main, parse

__all__ = ["main", "parse"]

if __name__ == "__main__":
    leave(main())
