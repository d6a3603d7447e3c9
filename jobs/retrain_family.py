"""Train every method on the same photographs with the same budget, and evaluate them side by side."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.cli.ending import leave
from pipeline.commands.retrain_family import main, parse

__all__ = ["main", "parse"]

if __name__ == "__main__":
    leave(main())
