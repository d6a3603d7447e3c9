"""Compare the batch job with a plain multi-process loop that does the same work, in one run."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pipeline import config
from pipeline.command import exit_status
from pipeline.flow.benchmark import compare
from pipeline.storage import refuse_overlap


def main(argv: list[str] | None = None) -> int:
    """Parse, load, call; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--photos", type=Path, default=ROOT / "tests" / "photos", help="gray samples to cut from"
    )
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--side", type=int, default=512, help="pixels")
    parser.add_argument("--folder", type=Path, help="keep the files here (default: a temporary folder)")
    parser.add_argument("--set", action="append", default=[], metavar="section.key=value", dest="overrides")
    args = parser.parse_args(argv)

    def work() -> None:
        loaded = config.load(config.JobConfig, None, args.overrides)
        if args.folder:
            refuse_overlap(str(args.photos), str(args.folder), own=())
        with tempfile.TemporaryDirectory() as scratch:
            folder = args.folder or Path(scratch)
            print(json.dumps(compare(args.photos, folder, args.count, args.side, loaded), indent=2))

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())
