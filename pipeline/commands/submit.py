"""Run a command on a Ray cluster and exit with its status. See `--help` and docs/cluster.md."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from pipeline.cli.command import JobParser, exit_status

EPILOG = """\
examples:
  fiat-color submit --address http://127.0.0.1:8265 -- colorize s3://archive/1920s s3://archive-color/1920s
  fiat-color submit --no-wait -- verify s3://archive-color/1920s
  fiat-color submit --attach raysubmit_AbC123

What follows -- is a command of fiat-color, which runs on the cluster. Ctrl-C leaves it running there;
`ray job stop` ends it. If the cluster uses a token, set RAY_AUTH_MODE and RAY_AUTH_TOKEN_PATH here, too.
Exit status: that of the command; also 1 if the cluster does not answer or the job dies.
"""
DEFAULT_ADDRESS = "http://127.0.0.1:8265"


def make_parser() -> JobParser:
    """Build the command-line parser."""
    parser = JobParser(
        description="Run a command on a Ray cluster, follow its output, and exit with its status.",
        epilog=EPILOG,
        config=None,
        usage="%(prog)s [options] -- COMMAND ...",
    )
    parser.add_argument(
        "--address",
        metavar="URL",
        default=DEFAULT_ADDRESS,
        help=f"address of the Ray dashboard; default: {DEFAULT_ADDRESS}",
    )
    parser.add_argument(
        "--working-dir", metavar="DIR", help="a checkout to upload; default: use what is installed there"
    )
    parser.add_argument("--no-wait", action="store_true", help="print the job id and exit")
    parser.add_argument("--attach", metavar="ID", help="follow a job that was submitted earlier")
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="after --: a command and its options")
    return parser


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line; `command` comes without the two dashes."""
    parser = make_parser()
    args = parser.parse_args(argv)
    args.command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if args.overrides:
        parser.error("--set belongs to the command: put it after --")
    if bool(args.command) == bool(args.attach):
        parser.error("give a command after --, such as -- colorize IN OUT, or --attach ID")
    if not re.fullmatch(r"auto|[a-z]+://[^/].*", args.address):
        parser.error(f"argument --address: {args.address!r} is not an address such as {DEFAULT_ADDRESS}")
    if args.working_dir is not None and not Path(args.working_dir).is_dir():
        parser.error(f"argument --working-dir: there is no folder {args.working_dir}")
    if args.command:
        _check(parser, args.command)
    return args


def _check(parser: JobParser, words: list[str]) -> None:
    """Check the command here, so that a mistake costs one line and not a job on the cluster."""
    from importlib import import_module

    from pipeline.commands.program import COMMANDS

    name = words[0]
    if name not in COMMANDS or name == "submit":
        parser.error(f"fiat-color has no command {name} to submit; fiat-color --help lists them")
    import_module(f"pipeline.commands.{name.replace('-', '_')}").parse(words[1:])


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    args = parse(argv)

    def work() -> int:
        from pipeline.engine.submit import Cluster

        cluster = Cluster(args.address)
        job = args.attach or cluster.submit(args.command, args.working_dir)
        if args.no_wait and not args.attach:
            print(job)
            return 0
        try:
            return cluster.follow(job)
        except KeyboardInterrupt:
            print(f"\nthe job {job} still runs: fiat-color submit --address {args.address} --attach {job}")
            return 1

    return exit_status(work, args.log_format)
