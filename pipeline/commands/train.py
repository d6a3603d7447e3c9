"""Train a colouring network on prepared photographs with Ray Train. See `--help`."""

from __future__ import annotations

import argparse
from typing import TypeVar

from pipeline.cli.command import JobParser, exit_status
from pipeline.cli.shipped import shipped_config
from pipeline.commands.early_checks import check_early
from pipeline.config.extras import require
from pipeline.config.loading import load
from pipeline.errors import ConfigError
from pipeline.retraining.family import family_of, run_of
from pipeline.storage import open_store
from pipeline.training.places import parse_decoding, run_location, weights_place
from pipeline.training.sections import TrainSettings

T = TypeVar("T", bound=TrainSettings)


def make_parser() -> JobParser:
    """Build the command-line parser."""
    parser = JobParser(
        description="Train a colouring network. Run the same command again to resume a stopped run.",
        config="YAML, or a shipped name: own, open, faithful ...",
        shipped="train",
    )
    parser.add_argument("--run", metavar="NAME", help="name of a run in configs/train_family/methods.yaml")
    parser.add_argument("--photos", metavar="URI", help="short for --set data.photos=URI")
    parser.add_argument("--storage", metavar="URI", help="short for --set train.storage=URI")
    parser.add_argument(
        "--export",
        metavar="FILE",
        help="do not train; write the newest checkpoint's weights (as ONNX if FILE is NAME.onnx)",
    )
    parser.add_argument("--licence", metavar="TEXT", help="with --export NAME.onnx: its licence")
    parser.add_argument(
        "--non-commercial", action="store_true", help="likewise: non-commercial; default without --licence"
    )
    parser.add_argument(
        "--steps",
        nargs="+",
        type=int,
        metavar="N",
        help="with --export: average the checkpoints of these steps; train.keep sets how many are kept",
    )
    parser.add_argument(
        "--average", nargs="+", metavar="WEIGHTS", help="with --export: average these weights instead"
    )
    parser.add_argument("--variant", metavar="NAME", help="with --export: only this head of the network")
    parser.add_argument(
        "--decoding",
        metavar="name=X,...",
        help="with --export: temperature, correction, gain (see the method)",
    )
    return parser


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    return make_parser().parse_args(argv)


def configuration(args: argparse.Namespace, kind: type[T]) -> T:
    """Merge command line and configuration file into settings of this class. Raises ConfigError."""
    short = {"data.photos": args.photos, "train.storage": args.storage}
    overrides = args.overrides + [f"{key}={value}" for key, value in short.items() if value is not None]
    if not args.run:
        return load(kind, args.config, overrides)
    file = args.config or shipped_config("train_family", "methods")
    return run_of(family_of(file, kind, overrides), args.run, file)


def check(args: argparse.Namespace, settings: TrainSettings) -> dict[str, float] | None:
    """Check everything that can be checked without torch; return the values of `--decoding`.

    Raises ConfigError, WeightsError and StorageError, as `check_early` does.
    """
    storage, places = settings.storage, settings.train.storage
    if args.average and not args.export:
        raise ConfigError("--average needs --export FILE for the averaged weights")
    if args.steps and (args.average or not args.export):
        raise ConfigError("--steps needs --export FILE and cannot be used with --average")
    if args.export:
        weights_place(args.export, storage)
    else:
        require("train", "training")
    if not args.average:
        run_location(places, storage)
    if args.export:
        check_early(storage, weights=args.average or ())
    else:
        # a checkpoint may lie beside the photographs
        begin = settings.model.get("weights") if isinstance(settings.model, dict) else None
        check_early(
            storage, reads=[settings.data.photos], weights=[begin if isinstance(begin, str) else None]
        )
        open_store(places, storage).check_writable(make=False)
    return parse_decoding(args.decoding) if args.decoding else None


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    args = parse(argv)

    def work() -> None:
        decoding = check(args, configuration(args, TrainSettings))
        from pipeline.training.onnx_export import Terms  # torch and Ray
        from pipeline.training.settings import TrainConfig
        from pipeline.training.trainer import average, export, train

        loaded = configuration(args, TrainConfig)
        if not args.export:
            print(f"trained; checkpoints are in {train(loaded)}")
            return
        terms = Terms(args.licence, args.non_commercial)
        if args.average:
            average(loaded, args.average, args.export, decoding, terms)
        else:
            export(loaded, args.export, args.variant, decoding, terms, args.steps or ())
        print(f"wrote {args.export}")

    return exit_status(work, args.log_format)
