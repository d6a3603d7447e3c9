"""Choose how a trained network should decode: try every combination on photographs not used for training."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from pipeline.color import metrics
from pipeline.errors import ConfigError
from pipeline.evaluate.bootstrap import interval, resampled_means
from pipeline.evaluate.choice_settings import ChoiceConfig, ChoiceSection
from pipeline.models.ab_bins import target_at
from pipeline.models.base import TrainableColorizer
from pipeline.models.method_list import build_colorizer
from pipeline.models.names import location
from pipeline.models.weights import Weights, load_weights
from pipeline.training.data.batches import middle_square
from pipeline.training.data.crops import lab_crop
from pipeline.training.data.dataset import Dataset
from pipeline.training.data.old_light import in_old_light

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Tried:
    """One decoding: of each photograph P, as it is and as an old print, the mean CIEDE2000, the chroma (Lab
    units) and the share of the plainly coloured pixels that got their colour (`metrics.right_share`), 2 x P;
    and the true colours' chroma, P."""

    decoding: dict[str, float]
    error_2P: F64
    chroma_2P: F64
    right_2P: F64
    true_chroma_P: F64

    def error(self, share: float) -> F64:
        """CIEDE2000 of each photograph, `share` of it as an old print."""
        return np.asarray((1 - share) * self.error_2P[0] + share * self.error_2P[1])

    def colour(self, place: int) -> float:
        """Mean chroma over the truth's: of photographs as they are (0), of old prints (1)."""
        return float(self.chroma_2P[place].mean() / self.true_chroma_P.mean())

    def right(self, place: int) -> float:
        """Mean share of what got its colour; NaN where no photograph is plainly coloured anywhere."""
        share_P = self.right_2P[place][~np.isnan(self.right_2P[place])]
        return float(share_P.mean()) if share_P.size else float("nan")


@dataclass(frozen=True)
class _Photo:
    """L* of a middle square as it is and as an old print, float32[2,1,H,W]; its Lab at half the size,
    [h,w,3]."""

    L_21HW: torch.Tensor
    lab_hw3: F64


def choose_decoding(weights: str, config: ChoiceConfig, say: Callable[[str], None]) -> str:
    """A Markdown table of all decodings, the best first, and the choice: of those that the least error cannot
    be told from (the 95 % interval of the paired difference holds 0), the one whose colourfulness is nearest
    to the truth's.

    Raises ConfigError where nothing is set aside or the network has no such decoding, WeightsError for
    weights that cannot be had.
    """
    settings = config.choice
    torch.set_num_threads(1)  # one small picture at a time: more threads only wait for each other
    loaded = load_weights(location(None, weights), None, config.storage)
    photos = list(_photographs(config))
    tried = []
    for decoding, network in _networks(loaded, settings.values):
        tried += _try(decoding, network, photos, settings.values.get("gain", (1.0,)))
        say(", ".join(f"{name} {value:g}" for name, value in decoding.items()) or "as it is")
    tried.sort(key=lambda one: one.error(settings.old_light).mean())
    return _table(weights, loaded, tried, chosen_of(tried, settings), settings)


def chosen_of(tried: list[Tried], settings: ChoiceSection) -> Tried:
    """Of those that the first, whose error is the least, cannot be told from, the one nearest to the truth's
    colourfulness."""
    equal = [one for one in tried if _reaches_zero(one, tried[0], settings)]
    return min(equal, key=lambda one: abs(one.colour(0) - 1))


def _photographs(config: ChoiceConfig) -> Iterator[_Photo]:
    settings = config.choice
    data = Dataset.open(config.data, config.storage)
    held = data.validation(config.data)
    if held is None or data.val is None:
        raise ConfigError(f"{config.data.photos} holds no photographs that were set aside from training")
    short = data.val.short_sides()
    large = np.flatnonzero(short >= settings.side)  # others would be enlarged: blurred as no scan is
    if not large.size:
        raise ConfigError(
            f"choice.side is {settings.side}, but the short side of no photograph that is set aside has as "
            f"many pixels, the largest {short.max()}"
        )
    count = min(settings.photographs, large.size)
    for number in large[np.linspace(0, large.size - 1, count).astype(int)].tolist():
        pixels = held.pixels(number)
        if pixels is None:
            continue
        square = middle_square(pixels, settings.side)
        L_HW, ab_2HW = lab_crop(square)
        old_HW = in_old_light(square, np.random.default_rng((settings.seed, number)), settings.damage)
        lab_3HW = torch.from_numpy(np.concatenate([L_HW[None], ab_2HW]))[None]
        lab_hw3 = target_at(lab_3HW, (settings.side // 2, settings.side // 2))[0].permute(1, 2, 0)
        yield _Photo(torch.from_numpy(np.stack([L_HW, old_HW])[:, None]), lab_hw3.double().numpy())


def _networks(
    loaded: Weights, values: Mapping[str, tuple[float, ...]]
) -> Iterator[tuple[dict[str, float], TrainableColorizer]]:
    """The network with every combination of what does not merely multiply its chroma."""
    network = build_colorizer(loaded)
    unknown = sorted(set(values) - set(network.decoding))
    if unknown:
        has = ", ".join(network.decoding) or "nothing"
        raise ConfigError(
            f"choice.values: what decodes the method {loaded.info.method} is {has}, not {unknown[0]}"
        )
    names = [name for name in values if name != "gain"]
    for combination in itertools.product(*(values[name] for name in names)):
        decoding = dict(zip(names, combination, strict=True))
        if decoding.get("blend") == 0 and decoding.get("temperature") not in (None, values["temperature"][0]):
            continue  # the regression alone has no temperature
        unit = {"gain": 1.0} if "gain" in network.decoding else {}
        architecture = loaded.info.architecture | decoding | unit
        yield decoding, build_colorizer(replace(loaded, info=replace(loaded.info, architecture=architecture)))


def _try(
    decoding: dict[str, float], network: TrainableColorizer, photos: list[_Photo], gains: tuple[float, ...]
) -> list[Tried]:
    measured = np.empty((3, len(gains), 2, len(photos)))
    true_chroma = np.array([metrics.mean_chroma(photo.lab_hw3) for photo in photos])
    for p, photo in enumerate(photos):
        ab = network.predict_ab(photo.L_21HW)
        ab = F.interpolate(ab, photo.lab_hw3.shape[:2], mode="bilinear", align_corners=False)
        for g, gain in enumerate(gains):
            for place in range(2):
                guess = photo.lab_hw3.copy()
                guess[..., 1:] = (gain * ab[place]).permute(1, 2, 0).numpy()
                measured[:, g, place, p] = (
                    metrics.ciede2000(photo.lab_hw3, guess),
                    metrics.mean_chroma(guess),
                    metrics.right_share(photo.lab_hw3, guess),
                )
    tried = []
    for gain, (error_2P, chroma_2P, right_2P) in zip(gains, measured.swapaxes(0, 1), strict=True):
        tried.append(Tried(decoding | {"gain": gain}, error_2P, chroma_2P, right_2P, true_chroma))
    return tried


def _reaches_zero(one: Tried, best: Tried, settings: ChoiceSection) -> bool:
    """Whether the paired difference to the best may be none."""
    low, _ = _interval(one.error(settings.old_light) - best.error(settings.old_light), settings)
    return one is best or low <= 0


def _interval(value_P: F64, settings: ChoiceSection) -> tuple[float, float]:
    """The 95 % percentile bootstrap of the mean over photographs."""
    return interval(resampled_means(value_P, settings.resamples, settings.seed), 0.95)


def _table(weights: str, loaded: Weights, tried: list[Tried], chosen: Tried, settings: ChoiceSection) -> str:
    count = len(chosen.true_chroma_P)
    lines = [
        f"# Decodings of {weights}",
        "",
        f"sha256 {loaded.digest}; {count} photographs that were set aside, {settings.side} pixels; "
        f"{settings.old_light:.0%} of the error is that of old prints of them. In brackets: 95 % of the "
        "paired difference to the first. Right: of the plainly coloured pixels, those whose guess has that "
        "colour and is not gray (`right_share` of `pipeline/color/metrics.py`).",
        "",
        "| decoding | CIEDE2000 | as they are | old prints | chroma of the truth's, % | old prints, % "
        "| right, % | old prints, % |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in tried:
        error = one.error(settings.old_light)
        low, high = _interval(error - tried[0].error(settings.old_light), settings)
        plain, old = one.error_2P.mean(1)
        mark = " **chosen**" if one is chosen else ""
        lines.append(
            f"| {_said(one)}{mark} | {error.mean():.3f} [{low:+.3f}, {high:+.3f}] | {plain:.2f} | {old:.2f} "
            f"| {100 * one.colour(0):.0f} | {100 * one.colour(1):.0f} | {100 * one.right(0):.0f} "
            f"| {100 * one.right(1):.0f} |"
        )
    return "\n".join([*lines, "", f"--decoding {_said(chosen)}"]) + "\n"


def _said(one: Tried) -> str:
    return ",".join(f"{name}={value:g}" for name, value in one.decoding.items())
