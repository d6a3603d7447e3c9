"""Fit and measure how doubtful the results of a network are. See `--help`."""

from __future__ import annotations

import argparse
import sys

from pipeline.cli.command import JobParser, exit_status
from pipeline.commands.early_checks import check_early
from pipeline.config.loading import load
from pipeline.errors import ConfigError
from pipeline.evaluate.doubt_settings import DoubtConfig

EPILOG = """\
examples:
  fiat-color doubt --weights own.safetensors --fit HELD_OUT --training train-photos
  fiat-color doubt --weights own.safetensors --input photos/eval --output out

--fit writes own.doubt beside the weights, where a colouring job looks for it. HELD_OUT holds colour
photographs that the weights were not trained on. The second form compares doubt with error, on photographs in
neither set.
"""


def make_parser() -> JobParser:
    """Build the command-line parser."""
    parser = JobParser(
        description="Fit how doubtful the results of a network are, or compare the doubt with the error.",
        epilog=EPILOG,
        config="YAML, or a shipped name: default",
        shipped="doubt",
    )
    parser.add_argument("--weights", required=True, metavar="URI", help="shipped name, path or URI")
    parser.add_argument("--fit", metavar="URI", help="photographs to fit on: a folder, bucket or Parquet")
    parser.add_argument("--training", metavar="URI", help="photographs trained on, for fitting novelty")
    parser.add_argument("--input", "--photos", metavar="URI", help="photographs to measure on")
    parser.add_argument("--output", metavar="URI", help="folder for the tables; with --fit: the file")
    return parser


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    return make_parser().parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    args = parse(argv)

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def work() -> None:
        config = load(DoubtConfig, args.config, args.overrides)
        fits = args.fit is not None or args.training is not None
        if fits == (args.input is not None):
            raise ConfigError("give either --input PHOTOGRAPHS, or --fit and --training")
        if not fits and args.output is None:
            raise ConfigError("--input needs --output, the folder for the tables")
        reads = [args.fit, args.training, args.input]
        check_early(config.storage, reads=reads, writes=None if fits else args.output, weights=[args.weights])
        from pipeline.evaluate.doubt import fit_doubt, measure_doubt  # torch

        if fits:
            print(fit_doubt(args.weights, args.fit, args.training, config, say, args.output))
        else:
            print(measure_doubt(args.weights, args.input, args.output, config, say), end="")

    return exit_status(work, args.log_format)
