"""How an entry colours: one network, or its mean with its mirrored input or with other networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from pipeline.config.storage import StorageConfig
from pipeline.evaluate.settings import NetworkEntry
from pipeline.models.method_list import load_colorizer
from pipeline.shard.predict import Predictor

F32 = NDArray[np.float32]

Coloring = Callable[[F32], F32]
"""From L* float32[h,w] in [0, 100], h and w multiples of 8, to ab in Lab units, float32[2,h',w']."""


def open_coloring(
    entry: NetworkEntry, precision: str, storage: StorageConfig, device: str = "cpu"
) -> Coloring:
    """The entry's network, or the mean of the chroma that it and its `others` predict, each also of the
    mirrored picture where the entry says so. The mean has the size of the largest.

    Raises WeightsError and ConfigError for weights that cannot be had.
    """
    own = _network(entry.method, entry.weights, entry.contract, precision, storage, device)
    networks = [own, *(_network(None, other, None, precision, storage, device) for other in entry.others)]
    looks = [look for one in networks for look in ([one, _mirrored(one)] if entry.mirrored else [one])]
    return looks[0] if len(looks) == 1 else lambda L_hw: mean_chroma([look(L_hw) for look in looks])


def mean_chroma(chroma: list[F32]) -> F32:
    """Mean of arrays float32[2,h',w'] of one picture; smaller ones are enlarged bilinearly first."""
    height, width = max(ab_2hw.shape[1] for ab_2hw in chroma), max(ab_2hw.shape[2] for ab_2hw in chroma)
    enlarged = [
        F.interpolate(torch.from_numpy(ab_2hw)[None], (height, width), mode="bilinear", align_corners=False)
        for ab_2hw in chroma
    ]
    mean: F32 = torch.cat(enlarged).mean(0).numpy()
    return mean


def _network(
    method: str | None,
    weights: str | None,
    contract: str | dict[str, Any] | None,
    precision: str,
    storage: StorageConfig,
    device: str,
) -> Coloring:
    loaded = load_colorizer(
        method, weights, precision=precision, device=device, storage=storage, contract=contract
    )
    # One image a batch, also on a GPU: the result must not depend on what shares a shard.
    predictor = Predictor(loaded.colorizer, device=device, batch=1)
    return lambda L_hw: predictor([L_hw])[0]


def _mirrored(network: Coloring) -> Coloring:
    return lambda L_hw: np.ascontiguousarray(network(np.ascontiguousarray(L_hw[:, ::-1]))[:, :, ::-1])
