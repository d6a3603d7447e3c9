"""Fit a calibration of doubt: a ridge regression, monotone maps, features of ordinary photographs.

NumPy alone: the matrices have a few thousand rows and 1,300 columns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.models.doubt import STEPS, Calibration, DoubtInfo

F64 = NDArray[np.float64]

AXES = 64
"""Main axes of the features that novelty keeps."""

FOLDS = 5
STRENGTHS = tuple(float(10**power) for power in np.arange(1.0, 6.01, 0.5))
"""Ridge penalties to try; the one that best predicts held-out photographs is used."""

FEWEST = 200
"""Fewest photographs; with fewer, the percentiles of the maps are meaningless."""

_LEAST = 1e-6


@dataclass(frozen=True, eq=False)
class Observed:
    """Photographs P as the network saw them: what it knew of its guesses, and how wrong they were.

    numbers_PK: by the K names in `names`. features_PF: F may be 0. error_P: CIEDE2000.
    """

    names: tuple[str, ...]
    numbers_PK: F64
    features_PF: F64
    error_P: F64


def calibrate(seen: Observed, info: DoubtInfo) -> Calibration:
    """The calibration for the weights that `info` names; what it says of the signals is filled in here.

    Novelty is of the same photographs, until `with_photographs` says otherwise.

    Args:
        seen: photographs that the weights were not trained on.

    Raises:
        ConfigError: fewer than FEWEST photographs.
    """
    count, features = seen.features_PF.shape
    if count < FEWEST:
        raise ConfigError(f"{count} photographs are too few to fit doubt on: give at least {FEWEST}")
    signals_PN = np.concatenate([seen.numbers_PK, seen.features_PF], 1)
    mean_N, deviation_N = signals_PN.mean(0), np.maximum(signals_PN.std(0), _LEAST)
    scaled_PN, target_P = (signals_PN - mean_N) / deviation_N, np.log1p(seen.error_P)
    slope_N, score_P = two_stages(scaled_PN, target_P - target_P.mean(), len(seen.names))
    score_P = score_P + target_P.mean()
    calibration = Calibration(
        info=replace(info, numbers=seen.names, features=features, photographs=count),
        mean_N=mean_N,
        deviation_N=deviation_N,
        slope_N=slope_N,
        bias=float(target_P.mean()),
        score_S=np.quantile(score_P, np.linspace(0, 1, STEPS)),
        error_S=error_of_doubt(score_P, seen.error_P),
        center_F=np.zeros(features),
        axes_RF=np.zeros((0, features)),
        length_R=np.zeros(0),
        rest=1.0,
        distance_S=np.zeros(STEPS),
    )
    if not features:
        return calibration
    return with_photographs(calibration, seen.features_PF)


def with_photographs(one: Calibration, features_PF: F64) -> Calibration:
    """With novelty measured from these photographs' features, float64[P,F].

    They are to be as large as a job's pictures: the larger a picture, the less its pooled features differ
    from another's.

    Raises:
        ConfigError: fewer than FEWEST photographs.
    """
    if len(features_PF) < FEWEST:
        raise ConfigError(f"{len(features_PF)} photographs are too few for novelty: give at least {FEWEST}")
    return _with_novelty(one, features_PF)


def ridge(X_PN: F64, y_P: F64, strength: float) -> F64:
    """The slopes that minimise |X slope - y|² + strength |slope|², float64[N]."""
    gram_NN = X_PN.T @ X_PN
    gram_NN[np.diag_indices_from(gram_NN)] += strength
    return np.asarray(np.linalg.solve(gram_NN, X_PN.T @ y_P))


def left_out_scores(X_PN: F64, y_P: F64, strength: float, fold_P: NDArray[np.int64]) -> F64:
    """What ridges predict for each photograph that were fitted on the other folds, float64[P]."""
    scores = np.empty(len(y_P))
    for fold in np.unique(fold_P):
        out = fold_P == fold
        mean = y_P[~out].mean()
        scores[out] = X_PN[out] @ ridge(X_PN[~out], y_P[~out] - mean, strength) + mean
    return scores


def choose_strength(X_PN: F64, y_P: F64) -> tuple[float, F64]:
    """Of STRENGTHS the one with the least squared error on photographs that are left out, and its scores."""
    fold_P = np.arange(len(y_P)) % FOLDS
    tried = [(strength, left_out_scores(X_PN, y_P, strength, fold_P)) for strength in STRENGTHS]
    return min(tried, key=lambda one: float(np.square(one[1] - y_P).sum()))


def two_stages(X_PN: F64, y_P: F64, numbers: int) -> tuple[F64, F64]:
    """Slopes of the first `numbers` columns by themselves, then of the others for what these leave; and the
    scores of photographs that are left out.

    A single ridge that is strong enough for a thousand features would give the few numbers, which tell more,
    hardly any weight.
    """
    strength, score_P = choose_strength(X_PN[:, :numbers], y_P)
    slopes = [ridge(X_PN[:, :numbers], y_P, strength)]
    if X_PN.shape[1] > numbers:
        strength, more_P = choose_strength(X_PN[:, numbers:], y_P - score_P)
        slopes.append(ridge(X_PN[:, numbers:], y_P - score_P, strength))
        score_P = score_P + more_P
    return np.concatenate(slopes), score_P


def isotonic(y_P: F64) -> F64:
    """The ascending sequence nearest to `y_P` by squared error: pool adjacent violators.

    Source: Ayer et al., "An empirical distribution function for sampling with incomplete information", Annals
    of Mathematical Statistics 26(4), 1955.
    """
    means: list[float] = []
    counts: list[int] = []
    for value in y_P.tolist():
        mean, count = value, 1
        while means and means[-1] > mean:
            before, number = means.pop(), counts.pop()
            mean, count = (before * number + mean * count) / (number + count), number + count
        means.append(mean)
        counts.append(count)
    return np.repeat(means, counts)


def error_of_doubt(score_P: F64, error_P: F64) -> F64:
    """The CIEDE2000 that each hundredth of the scores stands for, float64[STEPS], ascending."""
    order = np.argsort(score_P, kind="stable")
    fitted_P = isotonic(error_P[order])
    places_P = (np.arange(len(fitted_P)) + 0.5) / len(fitted_P)
    return np.interp(np.linspace(0, 1, STEPS), places_P, fitted_P)


def _with_novelty(one: Calibration, features_PF: F64) -> Calibration:
    """With the features of every second photograph, and the distances of the others to them."""
    fitted_PF, others_PF = features_PF[::2], features_PF[1::2]
    center_F = fitted_PF.mean(0)
    variance_F, axes_FF = np.linalg.eigh(np.cov(fitted_PF, rowvar=False))
    axes = min(AXES, len(fitted_PF) // 2, len(center_F) - 1)
    rest = float(np.sqrt(max(variance_F[:-axes].mean(), _LEAST)))
    one = replace(
        one,
        # rounded as they are stored, so that the distances below are those of the file
        center_F=center_F.astype(np.float32).astype(np.float64),
        axes_RF=axes_FF[:, -axes:].T.astype(np.float16).astype(np.float64),
        length_R=np.sqrt(np.maximum(variance_F[-axes:], _LEAST)),
        rest=rest,
    )
    distances = [one.distance(features) for features in others_PF]
    return replace(one, distance_S=np.quantile(distances, np.linspace(0, 1, STEPS)))
