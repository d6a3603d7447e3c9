"""One retraining cycle: new photographs, training from the champion, the gate. See `--help`."""

from __future__ import annotations

import argparse
import json

from pipeline.cli.command import JobParser, exit_status
from pipeline.commands.early_checks import check_early
from pipeline.commands.prepare import accepted
from pipeline.config.loading import load
from pipeline.retraining.settings import RetrainRequest, RetrainSettings, refuse_request
from pipeline.retraining.state import FOLDERS

EPILOG = """\
example:
  fiat-color retrain --config champion --registry s3://models/faces \\
      --photos s3://archive/new --held-out s3://archive/held-out --output s3://models/retraining

Run it on a schedule. A cycle reads only photographs that no earlier cycle has read; if there are none, it
does nothing. Run the same command again to continue a stopped cycle. jobs/promote.py --first starts a
registry.
Exit status: 0 promoted, or nothing new; 3 trained and not promoted (the table says why); 1 did not finish, or
another process is using the output: run it again; 2 bad usage or configuration.
"""


def make_parser() -> JobParser:
    """Build the command-line parser."""
    parser = JobParser(
        description="Retrain the champion of a registry on new photographs; promote the result if better.",
        epilog=EPILOG,
        config="YAML, or a shipped name: champion",
        shipped="retrain",
    )
    add = parser.add_argument
    add("--registry", required=True, metavar="URI/NAME", help="the registry whose champion to retrain")
    add(
        "--photos",
        default=[],
        action="append",
        metavar="URI",
        help="colour photographs, in the forms that jobs/prepare_photos.py accepts; repeatable",
    )
    add(
        "--decisions",
        default=[],
        action="append",
        metavar="OUT",
        help="an output of colouring runs: also train on the results that people accepted; "
        "repeatable, instead of retrain.decisions",
    )
    add("--held-out", required=True, metavar="URI", help="colour photographs to compare on, not in --photos")
    add("--output", required=True, metavar="URI", help="folder or s3://bucket/prefix of all cycles")
    add("--dry-run", action="store_true", help="print what is new and write nothing")
    return parser


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    return make_parser().parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    args = parse(argv)
    request = RetrainRequest(args.registry, tuple(args.photos), args.held_out, args.output, args.dry_run)

    # in the form of --set, so that both take the same path
    decisions = [f"retrain.decisions={json.dumps(args.decisions)}"] if args.decisions else []
    overrides = [*args.overrides, *decisions]

    def work() -> int:
        settings = load(RetrainSettings, args.config, overrides)
        refuse_request(request, settings)
        writes = None if args.dry_run else args.output
        reads = [*args.photos, args.held_out]
        check_early(settings.storage, reads=reads, writes=writes, own=FOLDERS, registry=args.registry)
        from pipeline.retraining.champion import RetrainConfig, retrain_champion  # torch and Ray

        config = load(RetrainConfig, args.config, overrides)
        results = accepted(config.retrain.decisions, args.output, config.storage)
        return retrain_champion(request, config, accepted=results)

    return exit_status(work, args.log_format)
