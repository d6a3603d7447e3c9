"""Train every method on the same photographs with the same budget, and evaluate them side by side."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pipeline.cli.command import JobParser, exit_status
from pipeline.retraining.retrain_family import FamilyRequest, retrain_family

EPILOG = """\
example:
  python jobs/retrain_family.py --photos photos/open --held-out photos/eval --output family

The same command continues where it was stopped. OUTPUT/weights/NAME.safetensors are for --weights;
the tables and picture sheets are in OUTPUT/evaluation.
"""


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
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
    parser.add_argument("--family", default=str(ROOT / "configs/train_family/methods.yaml"), metavar="FILE")
    parser.add_argument("--evaluation", default=str(ROOT / "configs/evaluate/family.yaml"), metavar="FILE")
    parser.add_argument(
        "--only", action="append", default=[], metavar="RUN", help="train this run; repeatable"
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Parse, load, call; returns the exit status."""
    args = parse(argv)
    lists = {
        name: tuple(getattr(args, name)) for name in ("photos", "held_out", "only", "exclude", "overrides")
    }
    request = FamilyRequest(**lists, output=args.output, family=args.family, evaluation=args.evaluation)

    def work() -> None:
        for table in retrain_family(request):
            print(table)

    return exit_status(work, args.log_format)


if __name__ == "__main__":
    sys.exit(main())
