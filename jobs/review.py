"""Look at all results of an output, and decide about them. `--help` says how; docs/review.md says more."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.cli.ending import leave
from pipeline.commands.review import main, parse

__all__ = ["main", "parse"]

if __name__ == "__main__":
    leave(main())
