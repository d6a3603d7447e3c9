"""Colour a folder or bucket of black-and-white photographs. `--help` says how; README.md says more."""

from __future__ import annotations

import argparse

from pipeline.cli.command import JobParser, exit_status
from pipeline.config.job import JobConfig
from pipeline.config.loading import load

EPILOG = """\
examples:
  fiat-color colorize scans/ colored/
  fiat-color colorize photo.tif other.jpg colored/
  fiat-color colorize s3://archive/1920s s3://archive-color/1920s --dry-run
  ray job submit --working-dir . -- python jobs/colorize_bucket.py --input s3://a/b --output s3://a-color/b

The same command again does only what is missing. Exit status: 0 all done; 3 finished, some images failed
(see the ledger); 4 finished, more of them failed than run.max_failed allows; 1 did not finish, run it again;
2 bad usage or configuration.
"""


def make_parser() -> JobParser:
    """The command line."""
    parser = JobParser(
        description=__doc__.split(".")[0] + "." if __doc__ else None,
        epilog=EPILOG,
        config="YAML, or a shipped name such as archive-scan; configs/colorize/default.yaml lists every key",
        shipped="colorize",
    )
    parser.add_places(
        many=True,
        input="folder, s3://bucket/prefix, or single photographs; only read",
        output="folder or s3://bucket/prefix",
    )
    parser.add_argument("--method", metavar="NAME", help="short for --set model.method=NAME")
    parser.add_argument(
        "--weights", metavar="URI", help="short for --set model.weights=URI; registry:URI/NAME: the champion"
    )
    parser.add_argument(
        "--guides",
        metavar="URI",
        help="short for --set guides.file=URI: scribbles, references, styles",
    )
    parser.add_argument(
        "--keys", metavar="FILE", help="short for --set plan.keys=FILE: the only keys to colour, one a line"
    )
    parser.add_argument(
        "--limit", metavar="N", help="short for --set plan.limit=N: the first N undone objects"
    )
    parser.add_argument(
        "--recolor",
        choices=("changed-model", "changed-settings", "accepted"),
        help="short for --set plan.recolor=...: whether what another model coloured is coloured again; "
        "accepted: and what people accepted, too",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the plan and change nothing")
    return parser


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """What was typed."""
    return make_parser().parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Parse, load, call; returns the exit status."""
    args = parse(argv)
    short = {"model.method": args.method, "model.weights": args.weights, "plan.limit": args.limit}
    short |= {"guides.file": args.guides, "plan.recolor": args.recolor, "plan.keys": args.keys}
    overrides = args.overrides + [f"{key}={value}" for key, value in short.items() if value is not None]

    def work() -> int:
        loaded = load(JobConfig, args.config, overrides)
        from pipeline.run.colorize import request_of, run_job

        return run_job(request_of(args.input, args.output, loaded, args.dry_run))

    return exit_status(work, args.log_format)
