"""Measure colouring networks on colour photographs. `--help` says how."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.cli.command import JobParser, exit_status
from pipeline.config.loading import load
from pipeline.evaluate import EvaluateConfig, evaluate, shortcuts

EPILOG = """\
example: python jobs/evaluate.py --input photos/eval --output out --methods iizuka,mine=mine.safetensors

Input: image files (with manifest.csv: file, source, label) or Parquet with encoded images. Written: a row per
photograph and colouring (evaluation.parquet), tables with 95% intervals (.md, .html, .json), contact sheets.
"""


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = JobParser(
        description="Measure colouring networks on colour photographs, beside gray and a constant tint.",
        epilog=EPILOG,
        config="YAML, such as configs/evaluate/family.yaml",
    )
    parser.add_argument("--input", "--photos", required=True, metavar="URI", help="only read")
    parser.add_argument("--output", required=True, metavar="URI", help="folder or s3://bucket/prefix")
    parser.add_argument(
        "--methods", metavar="LIST", help="shipped weights, files, URIs: a,b,name=URI; or all"
    )
    parser.add_argument("--split", metavar="NAME", help="of Parquet input (default: val)")
    parser.add_argument("--limit", metavar="N", help="measure the first N photographs")
    parser.add_argument("--sheets", metavar="FILE", help="YAML with 'sheets:', in place of the config's")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Parse, load, call; returns the exit status."""
    args = parse(argv)

    def work() -> None:
        short = shortcuts(methods=args.methods, sheets=args.sheets, split=args.split, limit=args.limit)
        loaded = load(EvaluateConfig, args.config, args.overrides + short)
        print(evaluate(args.input, args.output, loaded), end="")

    return exit_status(work, args.log_format)


if __name__ == "__main__":
    sys.exit(main())
