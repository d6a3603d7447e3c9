"""Colour photographs to fit and measure doubt: the network's signals and its errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pipeline.cli.counts import counted
from pipeline.color import metrics
from pipeline.color.luminance import downscale_luminance, luminance_u16_from_srgb8
from pipeline.color.toning import colour_spread
from pipeline.errors import ConfigError, WeightsError
from pipeline.evaluate.doubt_fit import Observed
from pipeline.evaluate.doubt_settings import DoubtConfig
from pipeline.evaluate.photograph_list import Photograph, Reader, Unreadable, list_photographs, reduced
from pipeline.evaluate.settings import EvaluateSection
from pipeline.models.method_list import SOLVERS, load_colorizer
from pipeline.models.names import location
from pipeline.models.weights_registry import pin_weights
from pipeline.shard.compose import compose
from pipeline.shard.predict import Predictor

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
Say = Callable[[str], None]

_SAY_EVERY = 200
NO_COLOUR_SPREAD = 1.0
"""`toning.colour_spread` below which a photograph has no colours to compare with: gray or toned. The
least of 388 colour photographs is 1.2; most toned scans are below 0.8."""
SMALLEST_SHARE = 0.85
"""Of `doubt.side`: photographs that are smaller say nothing of the features of large ones."""


@dataclass(frozen=True)
class JudgedNetwork:
    """The network to judge: the location of its weights, and their SHA-256."""

    predictor: Predictor
    location: str
    digest: str


def open_network(weights: str, config: DoubtConfig) -> JudgedNetwork:
    """The network of these weights: a shipped name, a path or a URI.

    Raises WeightsError for weights that cannot be had, ConfigError for a method without any.
    """
    torch.set_num_threads(1)  # one small picture at a time: more threads only wait for each other
    if weights in SOLVERS:
        raise ConfigError(f"the method {weights!r} has no weights that a calibration could be for")
    pinned = pin_weights(weights, config.storage)
    loaded = load_colorizer(None, pinned, storage=config.storage)
    if loaded.colorizer.needs:
        raise WeightsError(f"{weights} colours by guides alone: its doubt is not known")
    predictor = Predictor(loaded.colorizer, device="cpu", batch=1)
    return JudgedNetwork(predictor, location(None, pinned), loaded.weights_digest)


@dataclass(frozen=True, eq=False)
class Seen:
    """One photograph: `truth` and `colored` uint8[H,W,3], the network's numbers and features, CIEDE2000."""

    photo: Photograph
    truth: U8
    colored: U8
    numbers: dict[str, float]
    features_F: F32 | None
    error: float


def photographs(
    uri: str, config: DoubtConfig, *, split: str, count: int, groups: tuple[str, ...] = ()
) -> list[Photograph]:
    """`count` evenly spaced photographs below `uri`, or all. Raises as `list_photographs`."""
    settings = EvaluateSection(split=split, groups=groups, plates=config.doubt.plates)
    listed = list_photographs(uri, settings, config.storage)
    places = np.linspace(0, len(listed) - 1, min(count, len(listed))).astype(int)
    return [listed[place] for place in places]


def see(
    uri: str,
    photos: list[Photograph],
    network: JudgedNetwork,
    config: DoubtConfig,
    say: Say,
    *,
    looks: bool = False,
) -> Iterator[Seen]:
    """Colour each readable photograph that has colour from its own lightness; report the others with `say`.

    Raises ConfigError, at the end, where there is none.
    """
    gray = seen = 0
    reader = Reader(uri, config.doubt.pixels, config.storage)
    for number, photo in enumerate(photos, 1):
        try:
            truth, plate = reduced(reader.read(photo), config.doubt.side), reader.read_plate(photo)
        except Unreadable as reason:
            say(f"left out {photo.key}: {reason}")
            continue
        if colour_spread(truth) < NO_COLOUR_SPREAD:
            gray += 1
            continue
        seen += 1
        l_u16 = luminance_u16_from_srgb8(truth)
        ab_2hw, numbers, features_F = network.predictor.signals(seen_lightness(_seen(truth, plate)), looks)
        colored = compose(l_u16, ab_2hw).rgb
        error = metrics.ciede2000(metrics.to_lab(truth), metrics.to_lab(colored))
        yield Seen(photo, truth, colored, numbers, features_F, error)
        if number % _SAY_EVERY == 0:
            say(f"{number:,} of {len(photos):,} photographs")
    if not seen:
        why = (
            f"{gray:,} of {len(photos):,} are gray or toned, the others unreadable" if gray else "unreadable"
        )
        raise ConfigError(f"no photograph under {uri} has colours to compare with ({why}): give colour ones")
    if gray:
        say(f"left out {counted(gray, 'photograph')} without colour, gray or toned")


def _seen(truth: U8, plate: Image.Image | None) -> U8:
    """The picture whose lightness the network sees: the photograph itself, or its plate at the same size."""
    if plate is None:
        return truth
    size = (truth.shape[1], truth.shape[0])
    return np.asarray(plate.convert("L").convert("RGB").resize(size, Image.Resampling.LANCZOS))


def seen_lightness(rgb8: U8) -> F32:
    """What a network sees of a photograph uint8[H,W,3] at this size: L*, float32[h,w]."""
    l_u16 = luminance_u16_from_srgb8(np.ascontiguousarray(rgb8))
    return downscale_luminance(l_u16, -(-max(rgb8.shape[:2]) // 8) * 8)


def features_of(
    uri: str, photos: list[Photograph], network: JudgedNetwork, config: DoubtConfig, say: Say
) -> F64:
    """The features of each photograph that can be read and is not much smaller than `doubt.side`,
    float64[P,F]. Raises ConfigError where the network has none."""
    reader, rows = Reader(uri, config.doubt.pixels, config.storage), []
    for number, photo in enumerate(photos, 1):
        try:
            image = reader.read(photo)
        except Unreadable as reason:
            say(f"left out {photo.key}: {reason}")
            continue
        if min(image.size) < SMALLEST_SHARE * config.doubt.side:
            continue
        truth = reduced(image, config.doubt.side)
        features_F = network.predictor.signals(seen_lightness(truth), False)[2]
        if features_F is None:
            raise ConfigError(
                "this network has no features of the whole picture, so no novelty: leave --training out"
            )
        rows.append(features_F)
        if number % _SAY_EVERY == 0:
            say(f"{number:,} of {len(photos):,} training photographs")
    return np.array(rows, np.float64).reshape(len(rows), -1)


def wants_look(network: JudgedNetwork, config: DoubtConfig) -> bool:
    """Whether the signals include a second prediction at half the size."""
    if config.doubt.look is not None:
        return config.doubt.look
    _, numbers, features = network.predictor.signals(np.full((64, 64), 50.0, np.float32), False)
    return features is None and "spread_mean" not in numbers


def observed(seen: list[Seen]) -> Observed:
    """As the fit takes it."""
    names = tuple(seen[0].numbers)
    empty = np.zeros(0)
    features = [empty if one.features_F is None else one.features_F for one in seen]
    return Observed(
        names=names,
        numbers_PK=np.array([[one.numbers[name] for name in names] for one in seen]),
        features_PF=np.array(features, np.float64).reshape(len(seen), -1),
        error_P=np.array([one.error for one in seen]),
    )
