"""Check a third-party ONNX network, write its contract, and put both into a registry. See `--help`."""

from __future__ import annotations

import argparse

from pipeline.cli.command import JobParser, exit_status
from pipeline.commands.early_checks import check_early
from pipeline.config.loading import parse as parse_config
from pipeline.config.section import Section
from pipeline.config.storage import StorageConfig
from pipeline.models.weights_location import SCHEME, refuse_no_onnx

EPILOG = """\
examples:
  fiat-color import-weights ddcolor.onnx
  fiat-color import-weights mine.onnx --contract ddcolor_tiny --registry s3://archive-weights/ddcolor

The contract records the file's SHA-256 and the result of the probe, so every later job refuses a different
file or a contract with a wrong range. docs/models.md describes contracts. With --registry the file becomes
the champion of that name without a comparison; jobs/promote.py compares first.
Exit status: 0 done; 2 the file or its contract is refused; 1 a store could not be read or written.
"""


class ImportConfig(Section):
    """The configuration of this job."""

    storage: StorageConfig = StorageConfig()


def make_parser() -> JobParser:
    """Build the command-line parser."""
    parser = JobParser(description="Import a third-party ONNX network.", epilog=EPILOG, config=None)
    parser.add_argument("source", metavar="SOURCE", help="path or URI of NAME.onnx, optional #sha256=...")
    parser.add_argument(
        "--contract",
        metavar="FILE",
        help="path or URI, or the name of one in configs/models; default: search for it as the job does",
    )
    parser.add_argument(
        "--registry", metavar="URI/NAME", help="copy both there; default: write NAME.yaml next to the file"
    )
    return parser


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    return make_parser().parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    args = parse(argv)

    def work() -> None:
        config = parse_config(ImportConfig, {}, args.overrides)
        refuse_no_onnx(args.source)
        registry = None if args.registry is None else args.registry.removeprefix(SCHEME)
        check_early(config.storage, weights=[args.source], registry=registry)
        from pipeline.models.import_onnx import import_weights

        print(import_weights(args.source, args.contract, args.registry, config.storage))

    return exit_status(work, args.log_format)
