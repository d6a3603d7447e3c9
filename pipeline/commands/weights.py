"""List the weights that ship with the package, and who may use them. See `--help`."""

from __future__ import annotations

import argparse

from pipeline.cli.command import JobParser, exit_status
from pipeline.models.shipped_cards import shipped_cards

EPILOG = """\
example: fiat-color colorize scans/ colored/ --weights vivid

The cards in the package folder pipeline/weights say what each file was made from. To use a third-party ONNX
network: fiat-color import-weights.
"""


def make_parser() -> JobParser:
    """Build the command-line parser."""
    return JobParser(
        description="List the weights that ship with the package, and who may use them.",
        epilog=EPILOG,
        config=None,
    )


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    return make_parser().parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    args = parse(argv)

    def work() -> None:
        cards = shipped_cards()
        width = max(map(len, cards))
        for name, card in cards.items():
            print(f"{name:<{width}}  {card.method}: {card.about}; licence: {card.licence}")

    return exit_status(work, args.log_format)
