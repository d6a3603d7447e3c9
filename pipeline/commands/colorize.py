"""Colour a folder or bucket of black-and-white photographs. See `--help` and docs/."""

from __future__ import annotations

import argparse

from pipeline.cli.allocator import give_back_freed_memory

give_back_freed_memory()  # before the imports below, which import pyarrow

from pipeline.cli.command import JobParser, began_at, exit_status
from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.models.names import METHOD_NAMES
from pipeline.models.shipped_cards import shipped_cards
from pipeline.run.start import request_of, run_job

EPILOG = """\
examples:
  fiat-color colorize scans/ colored/
  fiat-color colorize photo.tif other.jpg colored/
  fiat-color colorize s3://archive/1920s s3://archive-color/1920s --dry-run
  ray job submit --working-dir . -- python jobs/colorize_bucket.py --input s3://a/b --output s3://a-color/b

Run the same command again to do only what is missing. Exit status: 0 all done; 3 finished, some images failed
(see the ledger); 4 finished, more of them failed than run.max_failed allows; 1 did not finish, run it again;
2 bad usage or configuration.
"""


def make_parser() -> JobParser:
    """Build the command-line parser."""
    parser = JobParser(
        description=__doc__.split(".")[0] + "." if __doc__ else None,
        epilog=EPILOG,
        config="YAML, or a shipped name such as archive-scan; configs/colorize/default.yaml lists every key",
        shipped="colorize",
    )
    parser.add_places(
        many=True,
        input="folder, s3://bucket/prefix (gs://, az://), or single photographs; only read",
        output="folder or s3://bucket/prefix (gs://, az://)",
    )
    add = parser.add_argument
    parser.add_argument(
        "--method",
        metavar="NAME",
        help=f"short for --set model.method=NAME: {', '.join(METHOD_NAMES)}; weights state their method",
    )
    parser.add_argument(
        "--weights",
        metavar="URI",
        help="short for --set model.weights=URI: the name of shipped weights, a path or URI, or "
        f"registry:URI/NAME, the champion; shipped: {', '.join(shipped_cards())} (default: the first; "
        "fiat-color weights says who may use them)",
    )
    parser.add_argument(
        "--guides",
        metavar="URI",
        help="short for --set guides.file=URI: scribbles, references, styles",
    )
    add("--keys", metavar="FILE", help="short for --set plan.keys=FILE: colour only these keys, one per line")
    parser.add_argument(
        "--limit", metavar="N", help="short for --set plan.limit=N: the first N files that are not done"
    )
    parser.add_argument(
        "--recolor",
        choices=("changed-model", "changed-settings", "accepted"),
        help="short for --set plan.recolor=...: whether to colour again what another model coloured; "
        "accepted: also what people accepted",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="short for --set plan.strict=true: stop if a pattern or key matches nothing",
    )
    add(
        "--drop-guides",
        action="store_true",
        help="short for --set plan.drop_guides=true: colour images whose guide is gone without a guide",
    )
    add("--dry-run", action="store_true", help="print the plan and change nothing")
    add("--show-config", action="store_true", help="with --dry-run: print the configuration, too")
    return parser


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    return make_parser().parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    began = began_at(of_process=argv is None)
    args = parse(argv)
    short = {"model.method": args.method, "model.weights": args.weights, "plan.limit": args.limit}
    short |= {"guides.file": args.guides, "plan.recolor": args.recolor, "plan.keys": args.keys}
    short |= {"plan.strict": "true" if args.strict else None}
    short |= {"plan.drop_guides": "true" if args.drop_guides else None}
    overrides = args.overrides + [f"{key}={value}" for key, value in short.items() if value is not None]

    def work() -> int:
        loaded = load(JobConfig, args.config, overrides)
        request = request_of(args.input, args.output, loaded, args.dry_run, args.show_config)
        return run_job(request, began)

    return exit_status(work, args.log_format)
