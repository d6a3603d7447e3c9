"""Remove files of superseded results. See `--help` and docs/output.md."""

from __future__ import annotations

import argparse

from pipeline.cli.command import JobParser, exit_status
from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.verify.prune import PruneRequest, run_prune

EPILOG = """\
example: fiat-color prune colored/            # list them, one per line
         fiat-color prune colored/ --apply    # and remove them

After a change of format or settings, an output holds the files of both. The command never removes the current
result of a source, a file that no ledger names, or a source.
Exit status: 0 done; 1 did not finish, run it again; 2 bad usage or configuration.
"""


def make_parser() -> JobParser:
    """Build the command-line parser."""
    parser = JobParser(
        description="List the files of results that newer ones have superseded, and remove them.",
        epilog=EPILOG,
        config="YAML; the one used for colouring works",
        shipped="colorize",
    )
    parser.add_places(output="the output of colouring runs")
    parser.add_argument("--apply", action="store_true", help="remove the files, and record it in the ledger")
    return parser


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    return make_parser().parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    args = parse(argv)

    def work() -> int:
        loaded = load(JobConfig, args.config, args.overrides)
        return run_prune(PruneRequest(args.output, loaded, args.apply))

    return exit_status(work, args.log_format)
