"""List the weights that ship with the package, and who may use them. `--help` says how."""

from __future__ import annotations

import argparse

from pipeline.cli.command import JobParser, exit_status
from pipeline.models.shipped_cards import shipped_cards

EPILOG = """\
example: fiat-color colorize scans/ colored/ --weights vivid

What weights were made from is on their cards, in the folder pipeline/weights of the package. Networks of
others come as ONNX files: fiat-color import-weights.
"""


def make_parser() -> JobParser:
    """The command line."""
    return JobParser(
        description="List the weights that ship with the package, and who may use them.",
        epilog=EPILOG,
        config=None,
    )


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """What was typed."""
    return make_parser().parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Parse, load, call; returns the exit status."""
    args = parse(argv)

    def work() -> None:
        cards = shipped_cards()
        width = max(map(len, cards))
        for name, card in cards.items():
            print(f"{name:<{width}}  {card.method}: {card.about}; licence: {card.licence}")

    return exit_status(work, args.log_format)
