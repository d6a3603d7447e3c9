"""Chroma as one of 313 classes: bins, soft-encoding, class rebalancing, annealed mean.

Source: R. Zhang, P. Isola, A. Efros, "Colorful Image Colorization", ECCV 2016, sections 2.1 to 2.3.
"""

from __future__ import annotations

import functools

import numpy as np
import scipy
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

GRID = 10
"""Distance of two bins, Lab units (section 2.1)."""

NEIGHBOURS = 5
SIGMA = 5.0
"""Soft-encoding: the five nearest bins, weighed by a Gaussian of this deviation (section 2.2)."""

TEMPERATURE = 0.38
"""Between the mode (0) and the mean (1) of the predicted distribution (section 2.3, equation 5)."""

UNIFORM = 0.5
"""Class rebalancing: the paper's lambda (section 2.2)."""

# By a, from the lowest to the highest: the least and the greatest b of the bins. They are the points of the
# grid within 13.5 of a chroma that sRGB can show: the paper counts 313, of which 261 are the nearest to some
# colour of 8-bit sRGB, and the others take part in the soft-encoding at the gamut's edge. The test computes
# them from the gamut; here it would be done in every process that predicts.
_ROWS = {
    -90: (50, 90), -80: (20, 90), -70: (0, 90), -60: (-20, 100), -50: (-30, 100), -40: (-40, 100),
    -30: (-40, 100), -20: (-50, 100), -10: (-60, 100), 0: (-70, 100), 10: (-80, 90), 20: (-80, 90),
    30: (-90, 90), 40: (-100, 80), 50: (-100, 80), 60: (-110, 80), 70: (-110, 80), 80: (-120, 80),
    90: (-110, 70), 100: (-80, -10), 110: (-60, -60),
}  # fmt: skip

_LIMIT = 110
"""The lookup table spans -110 to 110 in steps of one Lab unit; sRGB's ab lie inside."""


def _for_training_too() -> torch.inference_mode:
    """Create cached tensors outside inference mode: a prediction may need them first, and no gradient can
    pass through tensors created in its inference mode."""
    return torch.inference_mode(False)


@functools.cache
def bins() -> Tensor:
    """`ab_Q2`: the centres of the Q = 313 bins, float32, Lab units, ordered by a, then b."""
    centres = [(a, b) for a, (low, high) in _ROWS.items() for b in range(low, high + GRID, GRID)]
    with _for_training_too():
        return torch.tensor(centres, dtype=torch.float32)


BINS = 313


@functools.cache
def _table() -> tuple[Tensor, Tensor]:
    """For every whole (a, b): indices of the nearest bins and their weights, each (221*221) x NEIGHBOURS."""
    steps = np.arange(-_LIMIT, _LIMIT + 1)
    points = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
    distance, index = scipy.spatial.cKDTree(bins().numpy()).query(points, k=NEIGHBOURS)
    weight = np.exp(-(distance**2) / (2 * SIGMA**2))
    weight /= np.maximum(weight.sum(1, keepdims=True), 1e-30)
    with _for_training_too():
        return torch.from_numpy(index.astype(np.int64)), torch.from_numpy(weight.astype(np.float32))


def soft_encode(ab_B2hw: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest bins and their weights: int64 and float32, each B x NEIGHBOURS x h x w; nearest first,
    weights sum to 1. Chroma (Lab units) is rounded to whole units first, and clamped to [-110, 110]."""
    index, weight = (table.to(ab_B2hw.device) for table in _table())
    whole = ab_B2hw.round().clamp(-_LIMIT, _LIMIT).long() + _LIMIT
    flat_Bhw = whole[:, 0] * (2 * _LIMIT + 1) + whole[:, 1]
    return index[flat_Bhw].movedim(-1, 1), weight[flat_Bhw].movedim(-1, 1)


def histogram(ab_n2: NDArray[np.floating]) -> NDArray[np.float64]:
    """How many of the n chromas (Lab units) are nearest to each bin, float64[313], to compute a prior."""
    index, _ = _table()
    whole = np.clip(np.round(ab_n2), -_LIMIT, _LIMIT).astype(np.int64) + _LIMIT
    nearest = index[:, 0].numpy()[whole[:, 0] * (2 * _LIMIT + 1) + whole[:, 1]]
    return np.bincount(nearest, minlength=BINS).astype(np.float64)


def rebalancing(prior_Q: Tensor, uniform: float) -> Tensor:
    """Weight of each bin, float32[313]: ((1 - uniform) p + uniform / Q)^-1, with mean 1 under the prior p.

    `prior_Q`: shares of the bins in the training set (sum 1), smoothed here by a Gaussian of SIGMA.
    `uniform`: the paper's lambda = 0.5; at 1 all weights are equal. Source: section 2.2, equation 4.
    """
    distance = torch.cdist(bins().double(), bins().double())
    kernel = torch.exp(-(distance**2) / (2 * SIGMA**2))
    smooth = kernel / kernel.sum(0, keepdim=True) @ prior_Q.double()
    smooth = smooth / smooth.sum()
    weight = 1 / ((1 - uniform) * smooth + uniform / BINS)
    return (weight / (smooth * weight).sum()).float()


def annealed_mean(
    logits_BQhw: Tensor, temperature: float = TEMPERATURE, *, overwrite: bool = False
) -> Tensor:
    """`ab_B2hw`, float32, Lab units: the mean over the distribution sharpened by `temperature` in (0, 1].

    overwrite: the float32 logits are not needed afterwards, so their memory may be reused.
    """
    with torch.autocast(logits_BQhw.device.type, enabled=False):
        # bins last: of channels-last logits nothing is copied, and the mean is one matrix product
        # (permute: the export to ONNX of movedim wants a rank, which it does not always know)
        logits_BhwQ = logits_BQhw.permute(0, 2, 3, 1).float()
        sharp_BhwQ = logits_BhwQ.div_(temperature) if overwrite else logits_BhwQ / temperature
        probability_NQ = torch.softmax(sharp_BhwQ, dim=-1).flatten(0, 2)
        # two rows times many columns: half the time of many rows times two columns
        ab_2N = bins().to(logits_BQhw.device).t() @ probability_NQ.t()
        return ab_2N.reshape(2, *logits_BhwQ.shape[:3]).transpose(0, 1)


class BinHead(nn.Module):
    """The prior over bins (a buffer, stored with the weights), the loss, and the effect of rebalancing."""

    prior_Q: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("prior_Q", torch.full((BINS,), 1 / BINS))
        self._weights: dict[float, Tensor] = {}

    def weights(self, uniform: float) -> Tensor:
        """`rebalancing` of this prior, computed once."""
        if uniform not in self._weights:
            self._weights[uniform] = rebalancing(self.prior_Q.cpu(), uniform)
        return self._weights[uniform]

    def without_rebalancing(self, logits_BQhw: Tensor, share: float, uniform: float = UNIFORM) -> Tensor:
        """Logits of the distribution that a network would have learned without class rebalancing (`share` 1),
        or part of the way there: rebalanced training multiplies every probability by its bin's weight.

        Source: Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, section 4.1, backwards.
        """
        log_Q = self.weights(uniform).log().to(logits_BQhw.device)
        return logits_BQhw.float() - share * log_Q[None, :, None, None]

    def loss(self, logits_BQhw: Tensor, ab_B2hw: Tensor, uniform: float | None) -> Tensor:
        """Cross-entropy against the soft-encoded chroma, mean over pixels (equation 2).

        `uniform` None: every pixel counts the same; else each by `rebalancing` of its nearest bin.
        """
        index, weight = soft_encode(ab_B2hw)
        # bins last: what comes channels-last from the network is not copied into another order
        log_BhwQ = torch.log_softmax(logits_BQhw.movedim(1, -1).float(), dim=-1)
        cross_Bhw = -(weight.movedim(1, -1) * log_BhwQ.gather(-1, index.movedim(1, -1))).sum(-1)
        if uniform is None:
            return cross_Bhw.mean()
        return (self.weights(uniform).to(index.device)[index[:, 0]] * cross_Bhw).mean()


def target_at(ab_B2HW: Tensor, size: tuple[int, int]) -> Tensor:
    """The true chroma averaged to `size`, whole divisors of H and W."""
    if ab_B2HW.shape[-2:] == size:
        return ab_B2HW
    return F.adaptive_avg_pool2d(ab_B2HW, size)
