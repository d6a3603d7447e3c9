"""The probe: run one picture through the graph before any work. Shapes do not reveal a wrong range."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.color import spaces
from pipeline.errors import ImageFailure, WeightsError
from pipeline.models.methods.onnx.contract import Probe
from pipeline.models.methods.onnx.model import OnnxColorizer

F32 = NDArray[np.float32]

_HEIGHT, _WIDTH = 192, 256
LEAST_CHROMA, MOST_CHROMA = 0.5, 90.0
"""Lab units: the mean C*ab of a picture that a working network colours lies between them."""
LEAST_SPREAD = 0.05
"""Lab units: a graph that sees only black or white everywhere gives one colour, up to rounding."""
_LEAST_LIKENESS = 0.8
"""Correlation of the luma of a graph's RGB with that of the picture: the networks copy what they see."""
_MOST_LUMA_APART = 0.25  # of 1: mean difference of the two


@dataclass(frozen=True)
class Probed:
    """What the graph gave for the probe's picture: mean a and b, and mean C*ab, in Lab units."""

    mean_ab: tuple[float, float]
    mean_chroma: float


def probe_lightness() -> F32:
    """float32[192,256] of L*: a ramp from dark to light with soft waves over it, and a dark disc.

    Computed, not a file, so that every installation has the same.
    """
    y, x = np.mgrid[0:_HEIGHT, 0:_WIDTH] / float(_WIDTH)
    ramp = 12 + 74 * x + 7 * np.sin(19 * x + 5 * y) * np.cos(23 * y)
    disc = np.hypot(x - 0.62, y - 0.34) < 0.14
    return np.ascontiguousarray(np.clip(np.where(disc, 0.55 * ramp, ramp), 0, 100), np.float32)


def run_probe(colorizer: OnnxColorizer) -> Probed:
    """Colour the probe's picture. Raises WeightsError where the graph fails, or gives what is not finite."""
    name = colorizer.contract.name
    try:
        ab_2HW = colorizer.predict_ab(torch.from_numpy(probe_lightness())[None, None])[0].numpy()
    except ImageFailure as failure:
        raise WeightsError(f"the graph {name} does not run: {failure.message}") from None
    if not np.isfinite(ab_2HW).all():
        raise WeightsError(
            f"the graph {name} gives numbers that are not finite for the probe: its range, mean, std "
            "or dtype are wrong, or the file is"
        )
    mean_a, mean_b = (float(plane.mean()) for plane in ab_2HW)
    return Probed((mean_a, mean_b), float(np.hypot(*ab_2HW).mean()))


def check_probe(colorizer: OnnxColorizer) -> Probed:
    """`run_probe`, and whether the result is the one that the contract states, or a plausible one.

    Raises:
        WeightsError: it is not; with the numbers.
    """
    probed, contract = run_probe(colorizer), colorizer.contract
    if contract.probe is not None:
        _compare(probed, contract.probe, contract.name)
    else:
        _plausible(probed, colorizer)
    return probed


def _compare(probed: Probed, stated: Probe, name: str) -> None:
    apart = max(abs(got - want) for got, want in zip(probed.mean_ab, stated.mean_ab, strict=True))
    if apart > stated.tolerance:
        raise WeightsError(
            f"the graph {name} gives the probe a mean a, b of {_pair(probed.mean_ab)}, its contract says "
            f"{_pair(stated.mean_ab)} within {stated.tolerance:g}: a range, mean, std or scale in the "
            "contract is wrong, or it is another file"
        )


def _plausible(probed: Probed, colorizer: OnnxColorizer) -> None:
    contract, advice = colorizer.contract, "check range, mean, std, scale and offset in its contract"
    if not LEAST_CHROMA <= probed.mean_chroma <= MOST_CHROMA:
        raise WeightsError(
            f"the graph {contract.name} gives the probe a mean chroma of {probed.mean_chroma:.2f}, plausible "
            f"is {LEAST_CHROMA:g} to {MOST_CHROMA:g}: {advice}"
        )
    (L_hw,), (values,) = colorizer.run(probe_lightness()[None])
    if float(values.std(axis=(1, 2)).max()) < LEAST_SPREAD * _unit(contract.output.space):
        raise WeightsError(
            f"the graph {contract.name} gives the whole probe a single colour, as if it saw nothing: {advice}"
        )
    if contract.output.space == "rgb":
        _copies(L_hw, values, contract.name, advice)


def _copies(L_hw: F32, rgb_3hw: F32, name: str, advice: str) -> None:
    """Whether a graph that gives RGB gives back the gray that it was shown."""
    gray = spaces.linear_to_srgb(spaces.lab_f_inverse((L_hw + 16) / 116).astype(np.float32))
    luma = np.tensordot(spaces.RGB_TO_YUV[0], np.clip(rgb_3hw, 0, 1), axes=1)
    apart = float(np.abs(luma - gray).mean())
    alike = float(np.corrcoef(luma.ravel(), gray.ravel())[0, 1]) if luma.std() > 0 else 0.0
    if alike < _LEAST_LIKENESS or apart > _MOST_LUMA_APART:
        raise WeightsError(
            f"the graph {name} gives the probe back with a luma {apart:.2f} apart (of 1, correlation "
            f"{alike:.2f}), as if it saw another picture: {advice}"
        )


def _unit(space: str) -> float:
    """About what a Lab unit is in the numbers of a space."""
    return 1.0 if space == "ab" else 0.004


def _pair(values: tuple[float, float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)
