"""Train every method on the same photographs with the same budget, and evaluate them side by side."""

from __future__ import annotations

import argparse

from pipeline.cli.command import JobParser, exit_status
from pipeline.cli.shipped import config_of
from pipeline.commands.early_checks import check_early
from pipeline.config.loading import load
from pipeline.evaluate.settings import EvaluateConfig
from pipeline.retraining.family import FamilyRequest, requested_family
from pipeline.training.places import run_location
from pipeline.training.sections import TrainSettings

EPILOG = """\
example:
  fiat-color retrain-family --photos photos/open --held-out photos/eval --output family

Run the same command again to continue after a stop. Use OUTPUT/weights/NAME.safetensors with --weights; the
tables and picture sheets are in OUTPUT/evaluation.
"""


def make_parser() -> JobParser:
    """Build the command-line parser."""
    parser = JobParser(description=__doc__, epilog=EPILOG, config=None)
    parser.add_argument(
        "--photos", required=True, action="append", metavar="URI", help="to train on; repeatable"
    )
    parser.add_argument(
        "--exclude", action="append", default=[], metavar="GLOB", help="of --photos; repeatable"
    )
    parser.add_argument(
        "--held-out", required=True, action="append", metavar="URI", help="to evaluate on; repeatable"
    )
    parser.add_argument("--output", required=True, metavar="URI", help="folder or s3://bucket/prefix")
    for name, default, kind in (("family", "methods", "train_family"), ("evaluation", "family", "evaluate")):
        parser.add_argument(
            f"--{name}", default=default, metavar="FILE", type=config_of(kind), help=f"default: {default}"
        )
    parser.add_argument(
        "--only", action="append", default=[], metavar="RUN", help="train this run; repeatable"
    )
    return parser


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    return make_parser().parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    args = parse(argv)
    lists = {
        name: tuple(getattr(args, name)) for name in ("photos", "held_out", "only", "exclude", "overrides")
    }
    request = FamilyRequest(**lists, output=args.output, family=args.family, evaluation=args.evaluation)

    def work() -> None:
        family = requested_family(request, TrainSettings)
        load(EvaluateConfig, request.evaluation)
        for run in family.values():
            run_location(run.train.storage, run.storage)
        storage = next(iter(family.values())).storage
        check_early(storage, reads=[*request.photos, *request.held_out], writes=request.output)
        from pipeline.retraining.retrain_family import retrain_family  # torch and Ray

        for table in retrain_family(request):
            print(table)

    return exit_status(work, args.log_format)
