"""Turn folders or buckets of colour photographs into training data. See `--help`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.cli.ending import leave
from pipeline.commands.prepare import main, parse

__all__ = ["main", "parse"]

if __name__ == "__main__":
    leave(main())
