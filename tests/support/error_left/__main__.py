"""The remaining error of `faithful`, and whether remembered photographs or another encoder explain it.

python -m tests.support.error_left --photos photos/more --judged photos/eval --output OUT

No network learns here. In cells of 16 x 16 pixels, linear corrections of the chroma are fitted on photographs
that `faithful` was not trained on (of --photos, by the hash of their bytes and `hold_out` of
configs/train/old-light.yaml), and judged on those that a fold leaves out and on --judged. A correction gets
the prediction and the lightness, and in addition features of encoders, or the true chroma of the nearest of
the other photographs. OUT keeps features and predictions: the command continues where it was stopped.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.color import metrics
from pipeline.color.difference_torch import chroma_difference
from pipeline.color.luminance import luminance_u16_from_srgb8
from pipeline.evaluate.bootstrap import interval, resampled_means
from pipeline.evaluate.measure import PSNR_CEILING
from pipeline.shard.compose import compose
from tests.support.error_left.cells import Arrays, from_cells, kept
from tests.support.error_left.lent import Axes, axes_of, lent, remembered
from tests.support.error_left.photos import Encoded, Observed, split, squares, whole
from tests.support.error_left.ridge import FOLDS, by_folds

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
RESAMPLES, SEED = 1000, 0
MEASURED_AT_ONCE = 25
ENCODERS = ("own", "lite0", "lite2")
LENDER = "own"
"""The encoder that finds the nearest photographs and cells."""
NONE, GUESS, OWN, TRUTH = "none", "guess and lightness", "own features", "the truth's chroma of each cell"
CORRECTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    GUESS: (NONE, ()),
    "lent by photographs": (GUESS, ("photographs",)),
    "lent by cells": (GUESS, ("cells",)),
    "lent by both": (GUESS, ("photographs", "cells")),
    OWN: (GUESS, ("own",)),
    "own features, lent by both": (OWN, ("photographs", "cells", "own")),
    "own features and Lite0's": (OWN, ("own", "lite0")),
    "own features and Lite2's": (OWN, ("own", "lite2")),
}
"""With what each is compared, and what it sees besides the guess and the lightness: what is lent first."""
IN_PLACE: dict[str, tuple[str, ...]] = {
    "in place of the guess: the mean by lightness": (),
    "in place of the guess: own features": ("own",),
    "in place of the guess: Lite0's features": ("lite0",),
    "in place of the guess: Lite2's features": ("lite2",),
}
"""What sees no guess: how much a fit of this kind can learn of colours at all."""
LENT = "in place of the guess: lent by cells"


def lightness(seen: Observed) -> F32:
    """For each cell, the mean, its square and the deviation of lightness, N x 3."""
    L = seen.known["L"] / 100
    return np.concatenate([L, L[:, :1] ** 2], 1)


def base(seen: Observed) -> F32:
    """What every correction gets: prediction, its chroma, lightness, its deviation, and products, N x 9."""
    guess, L = seen.known["guess"], lightness(seen)
    chroma = np.hypot(guess[:, :1], guess[:, 1:])
    return np.concatenate([guess, chroma, L, guess * L[:, :1], chroma * L[:, :1]], 1)


def encoded(seen: Observed, name: str, axes: Axes) -> F32:
    """The features of an encoder for each cell and for its photograph."""
    return np.concatenate([seen.cells(name), axes(seen.pooled(name))[seen.photograph_N]], 1)


def weights(seen: Observed) -> F64:
    """Weights of cells: the weighted squared error of the prediction is its visible difference, and all
    photographs count alike. An error counts as at least three Lab units, or cells that are already right
    would outweigh all others."""
    guess, truth = (torch.from_numpy(seen.known[name]).T[None, :, None] for name in ("guess", "ab"))
    apart = (guess - truth).square().sum(1).clamp(min=9)
    visible = chroma_difference(guess, truth).clamp(min=1)
    count = np.bincount(seen.photograph_N)[seen.photograph_N]
    return np.asarray((visible / apart).flatten().double().numpy() / count)


def measured(seen: Observed, corrections: dict[str, F32], count: int, folder: Path) -> dict[str, F64]:
    """By correction, for each of the first `count` photographs: CIEDE2000, PSNR, colourfulness and that of
    the truth, P x 4."""

    def make(start: int, stop: int) -> Iterator[Arrays]:
        for place in range(start, stop):
            rows = {name: _measures(seen, place, corrections[name]) for name in corrections}
            yield {name: np.array([row]) for name, row in rows.items()}

    return kept(folder, min(count, len(seen.pictures)), make, MEASURED_AT_ONCE)


def _measures(seen: Observed, place: int, correction: F32) -> tuple[float, float, float, float]:
    one, guess = seen.pictures[place], seen.guess(place)
    grid = seen.known["grid"][place].tolist()
    cells = np.ascontiguousarray(correction[seen.of(place)].T.reshape(2, *grid))
    l_u16 = luminance_u16_from_srgb8(one.rgb)
    rgb = compose(l_u16, guess + from_cells(cells, (guess.shape[1], guess.shape[2]))).rgb
    error = metrics.ciede2000(metrics.to_lab(one.rgb), metrics.to_lab(rgb))
    psnr = min(metrics.psnr(one.rgb, rgb), PSNR_CEILING)
    return error, psnr, metrics.colorfulness(rgb), metrics.colorfulness(one.rgb)


def table(results: dict[str, F64]) -> str:
    """Markdown of what `measured` returns."""
    lines = [
        "| correction | CIEDE2000 | difference to none | difference to what it adds to | PSNR, dB "
        "| difference to none | colourfulness, % of the truth's |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    none_P4 = results[NONE]
    for name, of_P4 in results.items():
        compared = CORRECTIONS.get(name, (NONE, ()))[0]
        cells = [
            name,
            f"{of_P4[:, 0].mean():.2f}",
            "" if name == NONE else _difference(of_P4[:, 0] - none_P4[:, 0]),
            "" if compared == NONE else _difference(of_P4[:, 0] - results[compared][:, 0]),
            f"{of_P4[:, 1].mean():.2f}",
            "" if name == NONE else _difference(of_P4[:, 1] - none_P4[:, 1]),
            f"{100 * of_P4[:, 2].mean() / of_P4[:, 3].mean():.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _difference(of_P: F64) -> str:
    """The mean and its 95 % interval."""
    low, high = interval(resampled_means(of_P, RESAMPLES, SEED), 0.95)
    return f"{of_P.mean():+.2f} [{low:+.2f}, {high:+.2f}]"


def blocks_of(
    seen: Observed, judged: Observed, others: list[Encoded], out: Path
) -> dict[str, tuple[F32, F32]]:
    """By name, what corrections may get in addition to `base`, for the cells of both."""
    blocks = {}
    for name in ENCODERS:
        axes = axes_of(seen, name)[1]
        blocks[name] = encoded(seen, name, axes), encoded(judged, name, axes)
    axes_of_lender = axes_of(seen, LENDER)
    store = remembered(others, LENDER, axes_of_lender, out / f"remembered-{LENDER}")
    mine, theirs = (lent(one, LENDER, axes_of_lender, store) for one in (seen, judged))
    return blocks | {by: (mine[by], theirs[by]) for by in mine}


def corrections(seen: Observed, judged: Observed, blocks: dict[str, tuple[F32, F32]]) -> list[dict[str, F32]]:
    """By name, the correction of every cell, for the held-out photographs and for those judged. The first
    corrects nothing; the last is the true chroma of the cells."""
    keys = seen.known["key"][seen.photograph_N].tolist()
    fold_N, weight_N = np.array([zlib.crc32(key.encode()) % FOLDS for key in keys]), weights(seen)
    guesses = [one.known["guess"] for one in (seen, judged)]
    left = [one.known["ab"] - one.known["guess"] for one in (seen, judged)]

    def fitted(plain: Callable[[Observed], F32], used: tuple[str, ...], y_N2: F32) -> tuple[F32, F32]:
        pairs = [(plain(seen), plain(judged)), *(blocks[block] for block in used)]
        x, other = (np.concatenate([pair[place] for pair in pairs], 1) for place in range(2))
        free = x.shape[1] - sum(blocks[block][0].shape[1] for block in used if block in ENCODERS)
        return by_folds(x, y_N2, weight_N, fold_N, other, free)

    corrected = [{NONE: np.zeros_like(one)} for one in left]
    for name, (_, used) in CORRECTIONS.items():
        for place, found in enumerate(fitted(base, used, left[0])):
            corrected[place][name] = found
    for name, used in IN_PLACE.items():
        for place, found in enumerate(fitted(lightness, used, seen.known["ab"])):
            corrected[place][name] = found - guesses[place]
    for place, one in enumerate(left):
        corrected[place] |= {LENT: np.ascontiguousarray(blocks["cells"][place][:, :2]), TRUTH: one}
    return corrected


def kept_corrections(
    seen: Observed, judged: Observed, others: list[Encoded], out: Path
) -> list[dict[str, F32]]:
    """`corrections`, read from `out` if an earlier call wrote them."""
    names, path = (NONE, *CORRECTIONS, *IN_PLACE, LENT, TRUTH), out / "corrections.npz"
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        fitted = corrections(seen, judged, blocks_of(seen, judged, others, out.parent))
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, **{f"{place} {name}": fitted[place][name] for place in range(2) for name in names})
        part.rename(path)
    with np.load(path) as file:
        return [{name: file[f"{place} {name}"] for name in names} for place in range(2)]


def main() -> None:
    """Print a table for the held-out photographs and one for those judged."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True, help="a folder with train-*.parquet")
    parser.add_argument(
        "--judged", required=True, help="photographs that nothing was trained on or chosen by"
    )
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--set-aside", type=int, default=750, help="photographs to fit on")
    parser.add_argument("--measured", type=int, default=250, help="of these, photographs to measure on")
    parser.add_argument("--remembered", type=int, default=9000, help="photographs that lend their colours")
    args = parser.parse_args()
    torch.set_num_threads(1)
    held, others = split(args.photos)
    seen = Observed(squares(held[: args.set_aside]), args.output / "set-aside", ENCODERS)
    judged = Observed(whole(args.judged), args.output / "judged", ENCODERS)
    store = others[: args.remembered]
    out = args.output / f"by-{len(seen.pictures)}" / f"from-{len(store)}"
    fitted = kept_corrections(seen, judged, store, out)
    pairs = ("judged", judged, fitted[1], len(judged.pictures)), ("set aside", seen, fitted[0], args.measured)
    for title, observed, corrected, count in pairs:
        results = measured(observed, corrected, count, out / f"measured, {title}")
        print(f"\n{len(results[NONE])} {title}\n\n{table(results)}", flush=True)


if __name__ == "__main__":
    main()
