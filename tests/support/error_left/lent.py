"""Remembered colours: the true chroma that another photograph gets from the nearest of many photographs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tests.support.error_left.cells import Arrays, encoders, faithful, kept, look
from tests.support.error_left.photos import Encoded, Observed, batches, squares

F32 = NDArray[np.float32]
CELL_AXES, POOLED_AXES = 64, 128
NEAR, NEIGHBOURS = 200, 20


@dataclass(frozen=True)
class Axes:
    """A mean and the principal axes around it, F x R."""

    mean_F: F32
    axes_FR: F32

    @classmethod
    def of(cls, values_NF: F32, count: int) -> Axes:
        """The first `count` principal axes, by the variance along them."""
        mean_F = values_NF.mean(0)
        centred = (values_NF - mean_F).astype(np.float64)
        axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :count]
        return cls(mean_F, axes.astype(np.float32))

    def __call__(self, values_NF: F32) -> F32:
        """Coordinates on the axes, N x R."""
        return np.asarray((values_NF - self.mean_F) @ self.axes_FR)


def unit(values_NF: F32) -> F32:
    """Rows of length 1, so that a product is the cosine."""
    length = np.linalg.norm(values_NF, axis=1, keepdims=True)
    return np.asarray(values_NF / np.maximum(length, 1e-6), dtype=np.float32)


@dataclass(frozen=True)
class Remembered:
    """P photographs with their colours: `pooled_PF` and `cells_PCR` of unit length; true chroma of the cells,
    `ab_PC2`, Lab units."""

    pooled_PF: F32
    cells_PCR: NDArray[np.float16]
    ab_PC2: F32


@dataclass(frozen=True)
class Lent:
    """The mean chroma of the neighbours, N x 2; its standard deviation among them in Lab units, N x 1; and
    how near they are, as the mean of the cosines, N x 1."""

    ab_N2: F32
    spread_N1: F32
    cosine_N1: F32


def lend(cosine_NM: torch.Tensor, ab_M2: torch.Tensor, neighbours: int) -> Lent:
    """The mean chroma of the nearest `neighbours` of M for each of N."""
    cosine, place = cosine_NM.topk(min(neighbours, cosine_NM.shape[1]), 1)
    ab_NK2 = ab_M2[place]
    mean = ab_NK2.mean(1)
    spread = (ab_NK2 - mean[:, None]).square().sum(2).mean(1, keepdim=True).sqrt()
    return Lent(mean.numpy(), spread.numpy(), cosine.mean(1, keepdim=True).numpy())


def lent_to(
    pooled_F: F32, cells_NR: F32, store: Remembered, photographs: int, neighbours: int
) -> tuple[Lent, Lent]:
    """The chroma that a picture as a whole (N = 1) gets from the nearest `neighbours` of all photographs, and
    the chroma that each of its cells gets from the nearest cells of the nearest `photographs`."""
    cosine_1P = torch.from_numpy(pooled_F[None] @ store.pooled_PF.T)
    whole = lend(cosine_1P, torch.from_numpy(store.ab_PC2.mean(1)), neighbours)
    near = cosine_1P[0].topk(min(photographs, cosine_1P.shape[1]))[1].numpy()
    theirs_MR = torch.from_numpy(store.cells_PCR[near].astype(np.float32)).flatten(0, 1)
    theirs_ab = torch.from_numpy(store.ab_PC2[near]).flatten(0, 1)
    return whole, lend(torch.from_numpy(cells_NR) @ theirs_MR.T, theirs_ab, neighbours)


def lent(seen: Observed, name: str, axes: tuple[Axes, Axes], store: Remembered) -> dict[str, F32]:
    """For each cell, the chroma from the nearest "photographs" and from the nearest "cells": its difference
    from the prediction, and its products with how near and how far apart the neighbours are, N x 6."""
    lent_by: dict[str, list[F32]] = {"photographs": [], "cells": []}
    pooled = unit(seen.pooled(name) - axes[1].mean_F)
    for place in range(len(seen.pictures)):
        cells = unit(axes[0](seen.known[f"cells_{name}"][seen.of(place)].astype(np.float32)))
        guess = seen.known["guess"][seen.of(place)]
        both = lent_to(pooled[place], cells, store, NEAR, NEIGHBOURS)
        for by, reference, one in zip(lent_by, (guess.mean(0, keepdims=True), guess), both, strict=True):
            difference = one.ab_N2 - reference
            row = [difference, difference * one.cosine_N1, difference * one.spread_N1 / 10]
            lent_by[by].append(np.broadcast_to(np.concatenate(row, 1), (len(guess), 6)))
    return {by: np.concatenate(parts) for by, parts in lent_by.items()}


def remembered(others: list[Encoded], name: str, axes: tuple[Axes, Axes], folder: Path) -> Remembered:
    """The photographs that lend their colours."""

    def make(start: int, stop: int) -> Iterator[Arrays]:
        see = encoders([name], faithful())
        for batch in batches(squares(others[start:stop])):
            known = look(batch, see, None)
            cells = unit(axes[0](known[f"cells_{name}"].astype(np.float32))).astype(np.float16)
            pooled = unit(known[f"pooled_{name}"].astype(np.float32) - axes[1].mean_F)
            count = len(batch)
            yield {
                "pooled": pooled.astype(np.float16),
                "cells": cells.reshape(count, -1, cells.shape[1]),
                "ab": known["ab"].reshape(count, -1, 2),
            }

    known = kept(folder, len(others), make)
    return Remembered(known["pooled"].astype(np.float32), known["cells"], known["ab"])


def axes_of(seen: Observed, name: str) -> tuple[Axes, Axes]:
    """Principal axes of the features of cells and of photographs."""
    cells = seen.known[f"cells_{name}"][: seen.starts[min(500, len(seen.pictures))]].astype(np.float32)
    return Axes.of(cells, CELL_AXES), Axes.of(seen.pooled(name), POOLED_AXES)
