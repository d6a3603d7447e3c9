"""Turn folders or buckets of colour photographs into training data. See `--help`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

from pipeline.cli.command import JobParser, exit_status
from pipeline.commands.early_checks import check_early
from pipeline.config.loading import load
from pipeline.config.storage import StorageConfig
from pipeline.photographs.candidates import Candidate
from pipeline.photographs.prepare import Preparation, prepare_photos
from pipeline.photographs.settings import PrepareConfig
from pipeline.review.accepted import accepted_results
from pipeline.storage import open_store, refuse_overlap


def make_parser() -> JobParser:
    """Build the command-line parser."""
    parser = JobParser(
        description="Turn colour photographs into training data (Parquet).",
        config="YAML, or a shipped name: default, open",
        shipped="prepare",
    )
    parser.add_argument(
        "--input",
        default=[],
        action="append",
        metavar="URI",
        help="image files, or Parquet files with the columns key and image; only read; repeatable",
    )
    parser.add_argument(
        "--decisions",
        action="append",
        default=[],
        metavar="OUT",
        help="an output of colouring runs: use the results that people accepted; repeatable",
    )
    parser.add_argument("--output", required=True, metavar="URI", help="folder or s3://bucket/prefix")
    parser.add_argument(
        "--manifest", metavar="FILE", help="CSV of file, source, label (default: manifest.csv)"
    )
    return parser


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = make_parser()
    args = parser.parse_args(argv)
    if not args.input and not args.decisions:
        parser.error("give photographs with --input, or accepted results with --decisions")
    return args


def accepted(places: Sequence[str], output: str, storage: StorageConfig) -> Iterator[Candidate]:
    """Results that people accepted in these outputs. Raises as `accepted_results` and `refuse_overlap`."""
    for place in places:
        refuse_overlap(place, output, own=())
        out = open_store(place, storage)
        out.check_readable()
        name = place.rstrip("/").rpartition("/")[2]
        for one in accepted_results(out):
            yield Candidate(out, name, one.key, "decisions", "", sha256=one.sha256)


def show(result: Preparation) -> None:
    """Print the counts."""
    print(f"kept {result.kept.total()}: {result.kept['train']} to train on, {result.kept['val']} to validate")
    for reason, count in result.dropped.most_common():
        print(f"left out, {reason}: {count}")


def say(line: str) -> None:
    """Print a line of progress to stderr and flush it, even if stderr is a file."""
    print(line, file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    args = parse(argv)

    def work() -> None:
        loaded = load(PrepareConfig, args.config, args.overrides)
        check_early(loaded.storage, reads=args.input, writes=args.output)
        more = list(accepted(args.decisions, args.output, loaded.storage))
        show(prepare_photos(args.input, args.output, loaded, args.manifest, say, more))

    return exit_status(work, args.log_format)
