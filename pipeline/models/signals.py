"""A network's signals about its own prediction: features of the whole picture, and the spread of its bins.

Both cost almost nothing, because the network has already computed their inputs.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.color.difference_torch import chroma_difference
from pipeline.models.ab_bins import bins

_EXACT = "donot_use_mm_for_euclid_dist"  # a product of matrices rounds, and so by how many there are
SPREAD = ("spread_mean", "spread_high", "entropy_mean", "expected_chroma", "expected_difference")
"""What `bin_spread` measures, in this order."""

HEADS = "head_difference"
"""Behind SPREAD where another head has guessed the chroma, too."""

EVERY = 4
"""Bins are read at each fourth place of both directions: neighbours say the same."""

_HIGH = 0.9


@dataclass(frozen=True, eq=False)
class Signals:
    """Of a batch of B pictures, float32.

    `features_BF`: F numbers that describe each picture as a whole; None where a method has none.
    `spread_BK`, `deviation_Bhw`: of `bin_spread`; None where a method predicts no distribution.
    """

    features_BF: Tensor | None = None
    spread_BK: Tensor | None = None
    deviation_Bhw: Tensor | None = None


class BinSpread(NamedTuple):
    """`numbers_BK`: the K names of SPREAD and HEADS. `deviation_Bhw`: the standard deviation of ab about its
    mean, Lab units, at each place."""

    numbers_BK: Tensor
    deviation_Bhw: Tensor


@functools.cache
def _differences() -> Tensor:
    """How different each two bins look, float32, Q x Q."""
    ab_2Q = bins().T
    count = ab_2Q.shape[1]
    one, other = (ab.expand(1, 2, count, count) for ab in (ab_2Q[:, :, None], ab_2Q[:, None, :]))
    return chroma_difference(one, other)[0]


def bin_spread(logits_BQhw: Tensor, other_B2hw: Tensor | None = None) -> BinSpread:
    """How undecided the predicted distributions are, float32: 5 numbers in the order of SPREAD.

    The standard deviation of ab about its mean, in Lab units: its mean over the places and its 90th
    percentile; the mean entropy in nats; the means of the expected chroma C*ab, Lab units, and of the
    expected difference (`color.difference_torch`) of the distribution's colours to the bin nearest to its
    mean.

    `other_B2hw`: what another head guesses at the same places, Lab units; a sixth number is then its mean
    distance to the distribution's mean.
    """
    with torch.autocast(logits_BQhw.device.type, enabled=False):
        share_BnQ = torch.softmax(logits_BQhw.float(), 1).flatten(2).transpose(1, 2)
        ab_Q2 = bins().to(share_BnQ.device)
        mean_Bn2 = share_BnQ @ ab_Q2
        square_Bn = share_BnQ @ ab_Q2.square().sum(1)
        deviation_Bn = (square_Bn - mean_Bn2.square().sum(-1)).clamp(min=0).sqrt()
        entropy_Bn = -torch.xlogy(share_BnQ, share_BnQ).sum(-1)
        chroma_Bn = share_BnQ @ ab_Q2.norm(dim=1)
        columns = [deviation_Bn.mean(1), deviation_Bn.quantile(_HIGH, dim=1), entropy_Bn.mean(1)]
        columns.append(chroma_Bn.mean(1))
        nearest_Bn = torch.cdist(mean_Bn2, ab_Q2, compute_mode=_EXACT).argmin(-1)
        columns.append((share_BnQ * _differences().to(share_BnQ.device)[nearest_Bn]).sum(-1).mean(1))
        if other_B2hw is not None:
            other_Bn2 = other_B2hw.float().flatten(2).transpose(1, 2)
            columns.append((other_Bn2 - mean_Bn2).norm(dim=-1).mean(1))
        return BinSpread(torch.stack(columns, 1), deviation_Bn.reshape(-1, *logits_BQhw.shape[-2:]))
