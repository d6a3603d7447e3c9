"""Remove files of superseded results. See `--help` and docs/output.md."""

from __future__ import annotations

import argparse

from pipeline.cli.command import JobParser, exit_status
from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.verify.prune import PruneRequest, run_prune

EPILOG = """\
example: fiat-color prune colored/            # list them, a line each
         fiat-color prune colored/ --apply    # and remove them

After a change of the format or of the settings an output holds files of both. What the ledger names as the
result that stands is never removed, nor what no ledger names, nor a source.
Exit status: 0 done; 1 did not finish, run it again; 2 bad usage or configuration.
"""


def make_parser() -> JobParser:
    """Build the command-line parser."""
    parser = JobParser(
        description="List the files of earlier results, of which another one stands now, and remove them.",
        epilog=EPILOG,
        config="YAML, the one that coloured will do",
        shipped="colorize",
    )
    parser.add_places(output="the output of colouring runs")
    parser.add_argument("--apply", action="store_true", help="remove them, and say so in the ledger")
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
