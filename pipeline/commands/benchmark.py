"""Compare the batch job with the loops and the script that a user would write. See `--help`."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from pathlib import Path

from pipeline import IMPORT_ROOT
from pipeline.benchmark.compare import Comparison, default_contenders, default_workers
from pipeline.benchmark.contenders import CONTENDERS
from pipeline.benchmark.gigapixel import compare_master
from pipeline.benchmark.measure import BenchmarkRequest, run_benchmark
from pipeline.benchmark.onnx_loop import compare_onnx
from pipeline.benchmark.parts import KINDS, compare_parts
from pipeline.benchmark.planning import measure_planning
from pipeline.benchmark.sample_photographs import SIZES
from pipeline.benchmark.start import compare_starts
from pipeline.cli.command import JobParser, exit_status
from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.errors import RunError


def master_size(text: str) -> tuple[int, int]:
    """Parse WIDTHxHEIGHT as (width, height)."""
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form WIDTHxHEIGHT, e.g. 30000x33400")
    return int(width), int(height)


def make_parser() -> JobParser:
    """Build the command-line parser."""
    parser = JobParser(
        description="Compare the batch job with what a user would write. Run the same command again to "
        "continue a stopped benchmark. Takes two hours on two cores; one minute with --quick.",
        config=None,
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="a few images of 512 x 512, one round: tests only that it runs")
    add("--sizes", nargs="*", choices=SIZES, help="default: all")
    add("--counts", nargs="+", type=int, help="images of 512 x 512; the first also decides how many of the "
        "larger ones, the others show growth (default: 1000 4000 16000)")  # fmt: skip
    add("--workers", nargs="+", type=int, help="default: 1, and one per core")
    add("--rounds", type=int, help="default: 2, the second in reverse order")
    add("--contenders", nargs="+", choices=CONTENDERS, help="default: all that this machine can run")
    add("--stages", action="store_true", help="also measure each stage alone on one core")
    add("--train", action="store_true", help="also compare training with a bare torch loop")
    add("--master", type=master_size, metavar="WIDTHxHEIGHT", help="only colour one 16-bit master of this "
        "size, made in FOLDER (14 bytes per pixel); print the time and peak memory of the job and of "
        "libvips, which re-encodes the file")  # fmt: skip
    add("--onnx", type=int, metavar="IMAGES", help="only colour this many images with an ONNX graph as large "
        "as DDColor tiny; print its time and that of a bare onnxruntime loop")  # fmt: skip
    add("--plan", type=int, metavar="OBJECTS", help="only plan a simulated archive of this many objects, "
        "with none, half and all of them done; print the time and peak memory of each plan")  # fmt: skip
    add("--start", nargs="+", type=int, metavar="IMAGES", help="only colour this many of the gray samples, "
        "with and without Ray in turn; print the time to the first picture and to the end")  # fmt: skip
    add("--parts", nargs="*", choices=KINDS, help="only compare the whole job with the sum of its parts, "
        "and with a loop that does the same work; print CPU milliseconds per photograph")  # fmt: skip
    add("--photos", type=Path, default=IMPORT_ROOT / "tests" / "photos", help="gray samples to cut from")
    add("--folder", type=Path, default=IMPORT_ROOT / "benchmark-output", help="photographs, results, logs")
    add("--page", type=Path, help="the page to write (default: FOLDER/performance.md)")
    add("--page-only", action="store_true", help="measure nothing; only write the page from earlier results")
    add("--no-plots", action="store_true")
    return parser


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    return make_parser().parse_args(argv)


def comparison_of(args: argparse.Namespace) -> Comparison:
    """The comparison that the command line describes. Raises ConfigError for bad overrides."""
    quick = args.quick
    load(JobConfig, None, list(args.overrides))  # report bad overrides before measuring anything
    return Comparison(
        samples=args.photos,
        folder=args.folder,
        sizes=args.sizes if args.sizes is not None else (["512"] if quick else list(SIZES)),
        counts=sorted(args.counts or ([40] if quick else [1000, 4000, 16000])),
        workers=args.workers or default_workers(quick),
        contenders=args.contenders or default_contenders(),
        rounds=args.rounds or (1 if quick else 2),
        overrides=args.overrides,
    )


def measure_master(args: argparse.Namespace) -> None:
    """Measure what `--master` asks for and print it as JSON."""
    config = load(JobConfig, None, list(args.overrides))
    width, height = args.master
    try:
        args.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=args.folder) as scratch:
            print(json.dumps(compare_master(Path(scratch), height, width, config), indent=2))
    except OSError as error:
        raise RunError(str(error)) from error


def measure_plan(args: argparse.Namespace) -> None:
    """Measure what `--plan` asks for and print it as JSON."""
    try:
        args.folder.mkdir(parents=True, exist_ok=True)
        print(json.dumps(measure_planning(args.plan, args.folder), indent=2))
    except OSError as error:
        raise RunError(str(error)) from error


def measure_parts(args: argparse.Namespace) -> None:
    """Measure what `--parts` asks for and print it as JSON."""
    load(JobConfig, None, list(args.overrides))
    workers = max(args.workers or [2])
    kinds = args.parts or list(KINDS)
    rows = compare_parts(args.photos, args.folder, kinds, workers, args.rounds or 3, list(args.overrides))
    print(json.dumps(rows, indent=2))


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    args = parse(argv)
    command = shlex.join(["python", "jobs/benchmark.py", *(sys.argv[1:] if argv is None else argv)])

    def work() -> None:
        if args.master:
            measure_master(args)
            return
        if args.plan:
            measure_plan(args)
            return
        if args.onnx:
            compared = compare_onnx(args.photos, args.folder, args.onnx, list(args.overrides))
            print(json.dumps(compared, indent=2))
            return
        if args.parts is not None:
            measure_parts(args)
            return
        if args.start:
            compared_starts = compare_starts(
                args.photos, args.folder, args.start, args.rounds or 2, list(args.overrides)
            )
            print(json.dumps(compared_starts, indent=2))
            return
        comparison = None if args.page_only else comparison_of(args)
        parts = (args.stages, args.train, not args.no_plots)
        run_benchmark(BenchmarkRequest(args.folder, args.page, comparison, command, *parts))

    return exit_status(work, args.log_format)
