"""Which superpixel of the reference each one of the picture resembles, and whether its neighbours agree.

Gupta et al. (2012), sections 3.3 and 3.4.
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

from pipeline.models.methods.reference.superpixels import F32, Superpixels

WEIGHTS = (0.2, 0.5, 0.2, 0.1)
"""Of Gabor, texture, intensity and deviation in the final cost: the paper's."""

KEPT = 0.5
"""Share of the candidates that each step of the cascade leaves."""

TRUSTED = 0.1
"""Cost of a match, in units of the mean distance, up to which a superpixel keeps its match."""

VOTE_WIDTH = 8.0  # L*: neighbours this much lighter or darker count little
AGREEMENT = 12.0  # Lab units: chroma this far from the outcome does not agree


def match(target: Superpixels, reference: Superpixels) -> tuple[NDArray[np.intp], F32]:
    """For each superpixel of the target, the best one of the reference, and a confidence in (0, 1].

    The cascade compares one feature after the other and drops the worse half of the candidates each time; of
    those left the one with the least weighted cost is taken. Distances are Euclidean, in units of their
    feature's mean. The confidence is 1 for a perfect match and 1/2 for a cost of TRUSTED.
    """
    alive_TR = np.ones((target.count, reference.count), bool)
    cost_TR = np.zeros(alive_TR.shape, np.float32)
    kept = reference.count
    for weight, ours_TF, theirs_RF in zip(WEIGHTS, target.features(), reference.features(), strict=True):
        distance_TR = _distances(ours_TF, theirs_RF)
        cost_TR += weight * distance_TR
        distance_TR[~alive_TR] = np.inf
        kept = max(1, round(kept * KEPT))
        worst_T1 = np.partition(distance_TR, kept - 1, axis=1)[:, kept - 1 : kept]
        alive_TR &= distance_TR <= worst_T1
    cost_TR[~alive_TR] = np.inf
    best_T = cost_TR.argmin(axis=1)
    cost_T = cost_TR[np.arange(target.count), best_T]
    return best_T, (1 / (1 + (cost_T / TRUSTED) ** 2)).astype(np.float32)


def _distances(ours_TF: F32, theirs_RF: F32) -> F32:
    """Euclidean distances T x R, divided by their mean."""
    # Single precision cancels where rows are equal: centred, what is left of that is far below the mean.
    centre = theirs_RF.mean(axis=0)
    ours, theirs = ours_TF - centre, theirs_RF - centre
    squared = (ours**2).sum(1)[:, None] + (theirs**2).sum(1) - 2 * ours @ theirs.T
    distance_TR = np.sqrt(np.maximum(squared, 0))
    mean = float(distance_TR.mean())
    return np.asarray(distance_TR / mean if mean > 0 else distance_TR, np.float32)


def vote(target: Superpixels, ab_T2: F32, confidence_T: F32) -> tuple[F32, F32]:
    """Chroma and confidence after every superpixel has been compared with its neighbours and theirs.

    A superpixel whose match is worse than TRUSTED takes the weighted median of the chroma around it (itself
    included, two steps far): voters weigh by their confidence and by how near their lightness is. The
    confidence becomes the share of the votes for what it has now: one that disagrees with all others
    gets less, unless its own match is good.
    """
    votes = _electorate(target).tocoo()
    weight = votes.data * confidence_T[votes.col]
    outcome = [weighted_medians(votes.row, ab_T2[votes.col, c], weight, len(ab_T2)) for c in (0, 1)]
    result = np.where(confidence_T[:, None] > 0.5, ab_T2, np.stack(outcome, 1))
    apart = np.linalg.norm(ab_T2[votes.col] - result[votes.row], axis=1)
    agreeing = np.bincount(votes.row, weight * np.exp(-((apart / AGREEMENT) ** 2)), len(ab_T2))
    share = agreeing / np.maximum(np.bincount(votes.row, weight, len(ab_T2)), 1e-12)
    return result, np.maximum(share, np.where(confidence_T > 0.5, confidence_T, 0)).astype(np.float32)


def _electorate(target: Superpixels) -> scipy.sparse.csr_matrix:
    """T x T: weight of column's vote in row's, by lightness alone."""
    one = scipy.sparse.eye_array(target.count, dtype=np.float32, format="csr") + target.neighbours_SS
    two = (one @ one).tocoo()
    L_T = target.intensity_S2[:, 0]
    weight = np.exp(-(((L_T[two.row] - L_T[two.col]) / VOTE_WIDTH) ** 2)).astype(np.float32)
    return scipy.sparse.csr_matrix((weight, (two.row, two.col)), shape=two.shape)


def weighted_medians(group_N: NDArray[np.int32], value_N: F32, weight_N: F32, groups: int) -> F32:
    """Weighted median of each group's values; every group has a member of positive weight."""
    order = np.lexsort((value_N, group_N))
    group, value, weight = group_N[order], value_N[order], weight_N[order].astype(np.float64)
    ends = np.cumsum(np.bincount(group, minlength=groups))
    running = np.cumsum(weight)
    before = np.concatenate([[0.0], running[ends[:-1] - 1]])
    half = before + (running[ends - 1] - before) / 2
    return np.asarray(value[np.minimum(np.searchsorted(running, half), ends - 1)], np.float32)
