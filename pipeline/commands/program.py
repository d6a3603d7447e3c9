"""`fiat-color`: one program with a command for every job. It imports a command's modules only when needed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

import shtab

from pipeline import __version__
from pipeline.cli.command import print_every_character
from pipeline.errors import EXIT_USAGE

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

PROGRAM = "fiat-color"
COMMANDS = {
    "colorize": "colour a folder, a bucket or single photographs",
    "verify": "compare every delivered image with the ledger",
    "review": "show all results in a gallery, and record and apply decisions about them",
    "prune": "remove files of superseded results",
    "export": "export the ledger as CSV or PREMIS, the images as a bag or IIIF manifests",
    "weights": "list the shipped weights, and who may use them",
    "import-weights": "import a third-party ONNX network",
    "prepare": "turn colour photographs into training data",
    "train": "train a network",
    "retrain-family": "train all methods with the same budget, and compare them",
    "choose-decoding": "choose how a trained network decodes",
    "doubt": "fit and measure how doubtful the results of a network are",
    "evaluate": "measure networks on colour photographs",
    "promote": "put better weights into a registry, or roll back",
    "retrain": "run one retraining cycle: new photographs, training, promotion gate",
    "submit": "run one of these commands on a Ray cluster, and exit with its status",
    "benchmark": "compare the job with simpler programs (needs the checkout)",
}
"""Every command and what it does, in the order in which the help lists them."""

_SHELLS = ("bash", "zsh", "tcsh")
_EPILOG = f"""\
example: {PROGRAM} colorize scans/ colored/

{PROGRAM} COMMAND --help describes each one. Tab completion: save the output of
{PROGRAM} --print-completion bash where the shell looks for it, e.g.
~/.local/share/bash-completion/completions/{PROGRAM}
"""


def main(argv: list[str] | None = None) -> int:
    """Call the command named by the first word; return its exit status.

    Raises:
        SystemExit: from argparse, with 0 after --help and --version and 2 after bad usage.
    """
    words = sys.argv[1:] if argv is None else argv
    print_every_character()
    if words[:1] and words[0] in COMMANDS:
        with _called(f"{PROGRAM} {words[0]}", words[1:]):
            # None: the words of sys.argv, and a command that began with this process
            status: int = _module(words[0]).main(None if argv is None else words[1:])
            return status
    parser, commands = _top_parser()
    for command, line in COMMANDS.items():
        commands.add_parser(command, help=line, add_help=False)
    args = parser.parse_args(words)
    if args.print_completion is not None:
        print(completion(args.print_completion))
        return 0
    parser.print_help(sys.stderr)
    return EXIT_USAGE


def completion(shell: str) -> str:
    """The shell completion script for all commands. Imports every command, which takes seconds."""
    parser, commands = _top_parser()
    for command, line in COMMANDS.items():
        with _called(f"{PROGRAM} {command}", []):
            own: argparse.ArgumentParser = _module(command).make_parser()
        for action in own._actions:
            if action.metavar in ("FILE", "URI") or action.dest == "places":
                action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab's own way
        commands.add_parser(command, help=line, parents=[own], add_help=False)
    return str(shtab.complete(parser, shell))


def _module(command: str) -> ModuleType:
    return import_module(f"pipeline.commands.{command.replace('-', '_')}")


def _top_parser() -> tuple[argparse.ArgumentParser, Subparsers]:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Colour for archives of black-and-white photographs.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.add_argument("--print-completion", choices=_SHELLS, help="print the completion script for a shell")
    return parser, parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")


@contextmanager
def _called(program: str, words: list[str]) -> Iterator[None]:
    """Set the program name, which argparse takes from sys.argv; commands build parsers as their jobs do."""
    before = sys.argv
    sys.argv = [program, *words]
    try:
        yield
    finally:
        sys.argv = before
