"""Compare every delivered image with the ledger. See `--help` and docs/verify.md."""

from __future__ import annotations

import argparse

from pipeline.cli.command import JobParser, exit_status
from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.verify.verification import VerifyRequest, run_verify

EPILOG = """\
example: fiat-color verify s3://archive-color/1920s --input s3://archive/1920s

Only reads images. Verify while no colouring run is working on the output: files that it has not committed yet
would be reported as unexpected.
Exit status: 0 everything matches the ledger; 3 there are findings (see the report); 1 did not finish, run it
again; 2 bad usage or configuration.
"""


def make_parser() -> JobParser:
    """Build the command-line parser."""
    parser = JobParser(
        description="Fixity: compare every delivered image with the SHA-256 in the ledger.",
        epilog=EPILOG,
        config="YAML; the one used for colouring works",
        shipped="colorize",
    )
    parser.add_places(output="the output of colouring runs")
    parser.add_argument("--input", metavar="URI", help="compare the sources, too; where the runs read them")
    parser.add_argument("--report", metavar="URI", help="default: OUTPUT/runs/<time>-verify")
    return parser


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    return make_parser().parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    args = parse(argv)

    def work() -> int:
        loaded = load(JobConfig, args.config, args.overrides)
        return run_verify(VerifyRequest(args.output, loaded, args.input, args.report))

    return exit_status(work, args.log_format)
