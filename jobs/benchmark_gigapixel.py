"""Colour one huge 16-bit master, made here, and compare with libvips re-encoding it: seconds, peak memory."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pipeline.benchmark.gigapixel import compare_master
from pipeline.cli.command import JobParser, exit_status
from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.errors import RunError


def size(text: str) -> tuple[int, int]:
    """WIDTHxHEIGHT as (width, height)."""
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form WIDTHxHEIGHT, e.g. 30000x33400")
    return int(width), int(height)


def main(argv: list[str] | None = None) -> int:
    """Parse, load, call; returns the exit status."""
    parser = JobParser(description=__doc__)
    parser.add_argument("--size", type=size, default=(30_000, 33_400), metavar="WIDTHxHEIGHT")
    parser.add_argument("--folder", type=Path, help="a folder with room for 14 bytes a pixel")
    parser.add_argument("--set", action="append", default=[], metavar="section.key=value", dest="overrides")
    args = parser.parse_args(argv)

    def work() -> None:
        loaded = load(JobConfig, None, args.overrides)
        try:
            with tempfile.TemporaryDirectory(dir=args.folder) as scratch:
                width, height = args.size
                print(json.dumps(compare_master(Path(scratch), height, width, loaded), indent=2))
        except OSError as error:
            raise RunError(str(error)) from error

    return exit_status(work, args.log_format)


if __name__ == "__main__":
    sys.exit(main())
