"""Ridge regression of a remaining error, by folds, from sums over cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

FOLDS = 5
STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Of the ridge's penalty, as shares of the mean variance of what it sees."""


@dataclass(frozen=True)
class Moments:
    """Weighted sums over cells with the features F and a constant: X'WX, X'WY, Y'WY, and the sum of W."""

    xx: F64
    xy: F64
    yy: F64
    weight: float

    @classmethod
    def of(cls, x_NF: F32, y_N2: F32, weight_N: F64) -> Moments:
        """The moments of cells with these weights."""
        root = np.sqrt(weight_N)[:, None].astype(np.float32)
        x, y = np.concatenate([x_NF, np.ones_like(root)], 1) * root, y_N2 * root
        return cls(
            (x.T @ x).astype(np.float64), (x.T @ y).astype(np.float64), (y.T @ y).astype(np.float64),
            float(weight_N.sum()),
        )  # fmt: skip

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.xx + other.xx, self.xy + other.xy, self.yy + other.yy, self.weight + other.weight)

    def solve(self, strength: float, free: int) -> F64:
        """The ridge regression, (F + 1) x 2. The first `free` features and the constant, the last row, have
        no penalty."""
        penalty = np.full(len(self.xx), strength * np.trace(self.xx) / len(self.xx))
        penalty[:free] = penalty[-1] = 1e-6 * self.weight
        return np.asarray(np.linalg.solve(self.xx + np.diag(penalty), self.xy))

    def error(self, slope: F64) -> float:
        """Weighted sum of squared errors of a solution."""
        return float(np.trace(self.yy - 2 * slope.T @ self.xy + slope.T @ self.xx @ slope))


def chosen_strength(fitted: Moments, judged: Moments, free: int) -> float:
    """The penalty for which the solution of `fitted` has the smallest error on `judged`."""
    errors = [judged.error(fitted.solve(strength, free)) for strength in STRENGTHS]
    return STRENGTHS[int(np.argmin(errors))]


def total(moments: list[Moments]) -> Moments:
    """The sum."""
    first, *others = moments
    for other in others:
        first = first + other
    return first


def applied(x_NF: F32, slope: F64) -> F32:
    """The predictions of a solution of `Moments.solve`."""
    return np.asarray(x_NF @ slope[:-1] + slope[-1], dtype=np.float32)


def by_folds(x_NF: F32, y_N2: F32, weight_N: F64, fold_N: I64, other_MF: F32, free: int) -> tuple[F32, F32]:
    """The ridge regression of y from x: for each cell, from the folds without it, N x 2; and for
    `other`, cells of photographs in no fold, from all folds, M x 2.

    The features are first scaled to the same deviation; the first `free` are fitted without a penalty. The
    penalty of a fold is the best on the next fold after a fit on the remaining ones; the penalty for all
    folds is the geometric mean.
    """
    mean, deviation = x_NF.mean(0), np.maximum(x_NF.std(0), 1e-6)
    x, other = (x_NF - mean) / deviation, (other_MF - mean) / deviation
    moments = [Moments.of(x[fold_N == f], y_N2[fold_N == f], weight_N[fold_N == f]) for f in range(FOLDS)]
    predicted, strengths = np.empty_like(y_N2), list[float]()
    for f in range(FOLDS):
        asked = (f + 1) % FOLDS
        rest = total([moments[g] for g in range(FOLDS) if g not in (f, asked)])
        strengths.append(chosen_strength(rest, moments[asked], free))
        predicted[fold_N == f] = applied(x[fold_N == f], (rest + moments[asked]).solve(strengths[-1], free))
    strength = float(np.exp(np.mean(np.log(strengths))))
    return predicted, applied(other, total(moments).solve(strength, free))
