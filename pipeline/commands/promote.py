"""Replace the network in use with a retrained one if that is better, or roll back. See `--help`."""

from __future__ import annotations

import argparse

from pipeline.cli.command import JobParser, exit_status
from pipeline.commands.early_checks import check_early
from pipeline.config.loading import load
from pipeline.retraining.settings import PromoteConfig
from pipeline.storage import open_store
from pipeline.storage.uri import OWN_FOLDERS

EPILOG = """\
Neither network may have been trained on the photographs. Weights do not record what they were trained on, so
you must make sure of it; --trained-on compares with what prepare_photos.py wrote. A registry without a
champion is refused, because its name may be misspelt: --first starts one, and compares with the gray image
and the constant tint.

Use the champion with: fiat-color colorize IN OUT --weights registry:URI/NAME
Exit status: 0 promoted, rolled back, or champion already; 3 measured and not promoted (the table says why);
1 did not finish, or another promotion came first: run it again; 2 bad usage or configuration.
"""


def make_parser() -> JobParser:
    """Build the command-line parser."""
    parser = JobParser(
        description="The gate for retraining: challenger against champion on held-out photographs.",
        epilog=EPILOG,
        config="YAML, such as configs/promote/default.yaml",
        shipped="promote",
    )
    add, one = parser.add_argument, parser.add_mutually_exclusive_group(required=True)
    add(
        "--registry",
        required=True,
        metavar="URI/NAME",
        help="a folder or s3://bucket/prefix, and the name of a registry in it",
    )
    one.add_argument(
        "--challenger", metavar="URI", help="its weights: path, URI, shipped name, registry:URI/NAME"
    )
    one.add_argument(
        "--rollback", nargs="?", type=int, const=True, metavar="N", help="to entry N; default: one back"
    )
    one.add_argument("--history", action="store_true", help="list the entries")
    add("--photos", metavar="URI", help="held-out colour photographs, as jobs/evaluate.py takes them")
    add(
        "--trained-on",
        action="append",
        default=[],
        metavar="URI",
        help="refuse photographs that are in this training data; repeatable",
    )
    add("--first", action="store_true", help="start the registry if it is empty")
    add("--output", metavar="URI", help="keep the whole evaluation there")
    add("--dry-run", action="store_true", help="decide, and write nothing")
    return parser


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = make_parser()
    args = parser.parse_args(argv)
    if args.challenger and not args.photos:
        parser.error("--challenger needs --photos")
    return args


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    args = parse(argv)

    def work() -> int:
        loaded = load(PromoteConfig, args.config, args.overrides)
        for uri in args.trained_on:
            open_store(uri, loaded.storage).check_readable()
        check_early(
            loaded.storage,
            reads=[args.photos],
            writes=args.output,
            own=OWN_FOLDERS,
            weights=[args.challenger],
            registry=args.registry,
        )
        from pipeline.models.weights_registry import WeightsRegistry  # torch
        from pipeline.retraining.promote import PromoteRequest, promote, roll_back, show_history

        catalog = WeightsRegistry(args.registry, loaded.storage)
        if args.history:
            return show_history(catalog)
        if args.rollback is not None:
            return roll_back(catalog, None if args.rollback is True else args.rollback, args.dry_run)
        request = PromoteRequest(
            args.challenger,
            args.photos,
            open_store(args.output, loaded.storage) if args.output else None,
            tuple(open_store(uri, loaded.storage) for uri in args.trained_on),
            first=args.first,
            dry_run=args.dry_run,
        )
        return promote(catalog, request, loaded)

    return exit_status(work, args.log_format)
