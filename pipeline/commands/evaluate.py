"""Measure colouring networks on colour photographs. See `--help`."""

from __future__ import annotations

import argparse

from pipeline.cli.command import JobParser, exit_status
from pipeline.commands.early_checks import check_early
from pipeline.config.loading import load
from pipeline.evaluate.settings import EvaluateConfig, shortcuts
from pipeline.models.names import check_names
from pipeline.storage.uri import OWN_FOLDERS

EPILOG = """\
example: fiat-color evaluate --input photos/eval --output out --methods iizuka,mine=mine.safetensors

Input: image files (with manifest.csv: file, source, label) or Parquet with encoded images. Output: a row per
photograph and colouring (evaluation.parquet), tables with 95% intervals (.md, .html, .json), contact sheets.
"""


def make_parser() -> JobParser:
    """Build the command-line parser."""
    parser = JobParser(
        description="Measure colouring networks on colour photographs, compared with gray and a tint.",
        epilog=EPILOG,
        config="YAML, or a shipped name: family, historic ...",
        shipped="evaluate",
    )
    parser.add_argument("--input", "--photos", required=True, metavar="URI", help="only read")
    parser.add_argument("--output", required=True, metavar="URI", help="folder or s3://bucket/prefix")
    parser.add_argument(
        "--methods", metavar="LIST", help="shipped weights, files, URIs: a,b,name=URI; or all"
    )
    parser.add_argument("--split", metavar="NAME", help="of Parquet input (default: val)")
    parser.add_argument("--limit", metavar="N", help="measure the first N photographs")
    parser.add_argument("--sheets", metavar="FILE", help="YAML with 'sheets:', instead of the config's")
    return parser


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    return make_parser().parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    args = parse(argv)

    def work() -> None:
        short = shortcuts(methods=args.methods, sheets=args.sheets, split=args.split, limit=args.limit)
        loaded = load(EvaluateConfig, args.config, args.overrides + short)
        for entry in loaded.evaluate.entries:
            check_names(entry.method, entry.weights)
        check_early(loaded.storage, reads=[args.input], writes=args.output, own=OWN_FOLDERS)
        from pipeline.evaluate.evaluation import evaluate  # torch

        print(evaluate(args.input, args.output, loaded), end="")

    return exit_status(work, args.log_format)
