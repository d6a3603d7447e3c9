"""Remove files of results of which another one stands now. `--help` says how; docs/output.md says more."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.cli.ending import leave
from pipeline.commands.prune import main, parse

__all__ = ["main", "parse"]

if __name__ == "__main__":
    leave(main())
