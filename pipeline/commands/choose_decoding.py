"""Choose how a trained network decodes, using photographs set aside from training. See `--help`."""

from __future__ import annotations

import argparse
import sys

from pipeline.cli.command import JobParser, exit_status
from pipeline.commands.early_checks import check_early
from pipeline.config.loading import load
from pipeline.evaluate.choice_settings import ChoiceConfig

EPILOG = """\
example: fiat-color choose-decoding --weights own.safetensors --set data.photos=train-photos

Prints a table of all decodings tried, the best first, and the options to give jobs/train.py --export.
"""


def make_parser() -> JobParser:
    """Build the command-line parser."""
    parser = JobParser(
        description="Choose how a trained network decodes, using photographs set aside from training.",
        epilog=EPILOG,
        config="YAML, or a shipped name: old-light",
        shipped="choose_decoding",
    )
    parser.add_argument("--weights", required=True, metavar="URI", help="shipped name, path or URI")
    return parser


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    return make_parser().parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    args = parse(argv)

    def work() -> None:
        loaded = load(ChoiceConfig, args.config, args.overrides)
        check_early(loaded.storage, reads=[loaded.data.photos], weights=[args.weights])
        from pipeline.evaluate.decoding_choice import choose_decoding  # torch

        def say(line: str) -> None:
            print(f"tried: {line}", file=sys.stderr, flush=True)

        print(choose_decoding(args.weights, loaded, say), end="")

    return exit_status(work, args.log_format)
