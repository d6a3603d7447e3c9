"""Measure a colouring network on colour photographs. `--help` says how."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline import config
from pipeline.errors import FiatColorError
from pipeline.training.config import EvaluateConfig
from pipeline.training.evaluate import evaluate, markdown, write_report

EPILOG = """\
PSNR: ITU-T J.340. ab-RMSE: Deshpande et al. 2015. CIEDE2000: Sharma et al. 2005. Colourfulness M3: Hasler and
Suesstrunk 2003. Baselines: the gray image, and the training photographs' mean ab laid over every photograph.
"""


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Measure a colouring network on colour photographs, beside two baselines.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--photos", required=True, metavar="URI", help="colour photographs never trained on")
    parser.add_argument(
        "--weights", metavar="URI", help="path or URI, optional #sha256=...; default: shipped"
    )
    parser.add_argument("--output", metavar="URI", help="also write evaluation.json and evaluation.md there")
    parser.add_argument("--config", metavar="FILE", help="YAML, such as configs/evaluate/default.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="section.key=value", dest="overrides")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Parse, load, call; returns the exit status."""
    args = parse(argv)
    try:
        loaded = config.load(EvaluateConfig, args.config, args.overrides)
        report = evaluate(args.photos, args.weights, loaded)
        print(markdown(report), end="")
        if args.output:
            write_report(report, args.output, loaded.storage)
    except FiatColorError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
