"""Doubt: the expected error of a colouring, estimated from a network's own signals.

A calibration belongs to one weights file. It is fitted on photographs that these weights were not trained on
(`pipeline/evaluate/doubt_fit.py`), and is stored next to them: `own.doubt` for `own.safetensors`.

The expected CIEDE2000 is a ridge regression of its logarithm on the network's signals. Its place among those
of the photographs of the fit is the doubt, a monotone map to [0, 1].
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as parse_safetensors
from safetensors.numpy import save as to_safetensors

from pipeline.config.storage import StorageConfig
from pipeline.errors import AccessDenied, ObjectMissing, StorageError, WeightsError
from pipeline.models.signals import HEADS, SPREAD
from pipeline.models.weights_location import split_digest
from pipeline.storage import open_store

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

SUFFIX = ".doubt"
METADATA_KEY = "fiat_color_doubt"
PICTURE = ("chroma_mean", "chroma_high", "L_mean", "L_deviation", "L_low", "L_middle", "L_high")
LOOK = "look_difference"
STEPS = 101
"""Knots of the monotone maps: one at each hundredth."""

UNLIKE = 0.99
"""Novelty from which on a picture is called unlike the training photographs: of 100 photographs one is."""

_TAIL = 1 - UNLIKE
SMALLEST_AREA = 0.75
"""Of a square of the photographs' short side."""


@dataclass(frozen=True)
class DoubtInfo:
    """The metadata of a calibration.

    weights: SHA-256 of the weights it is for. numbers: names of the numbers beside the features, in order.
    features: how many the network gives; 0: none. photographs: how many it was fitted on; `sources` where
    they come from. training: photographs that novelty is measured from. side: short side, pixels.
    """

    weights: str
    numbers: tuple[str, ...]
    features: int
    photographs: int
    sources: tuple[str, ...] = ()
    training: int = 0
    side: int = 0


@dataclass(frozen=True)
class Judgement:
    """Of one picture. doubt, novelty: 0 to 1, None where they are not known."""

    doubt: float | None = None
    novelty: float | None = None


@dataclass(frozen=True, eq=False)
class Calibration:
    """The numbers of a calibration.

    Attributes:
        mean_N, deviation_N, slope_N: of the signals, the numbers first, then the features; N of them.
        bias: so that the score is the expected logarithm of CIEDE2000.
        score_S: scores of the photographs of the fit at each hundredth, ascending.
        error_S: CIEDE2000 that the doubt of each hundredth stands for, ascending.
        center_F, axes_RF, length_R, rest: the features of training photographs, their main axes, and the
            standard deviations along these and of all that is left.
        distance_S: distances of the photographs of the fit at each hundredth, ascending.
    """

    info: DoubtInfo
    mean_N: F64
    deviation_N: F64
    slope_N: F64
    bias: float
    score_S: F64
    error_S: F64
    center_F: F64
    axes_RF: F64
    length_R: F64
    rest: float
    distance_S: F64

    @property
    def fewest_pixels(self) -> float:
        """The fewest pixels of the network's input for which novelty is computed: features of smaller
        pictures vary more than those of the calibration photographs."""
        return SMALLEST_AREA * self.info.side**2

    @property
    def looks(self) -> bool:
        """Whether it needs a second prediction at half the size."""
        return LOOK in self.info.numbers

    def judge(self, numbers: dict[str, float], features_F: F32 | None) -> Judgement:
        """The expected quality of a colouring with these signals.

        Raises ValueError where a number is missing, or the features are others.
        """
        features = np.zeros(0) if features_F is None else features_F.astype(np.float64)
        if len(features) != self.info.features or not set(self.info.numbers) <= set(numbers):
            raise ValueError("the calibration is for other signals than the network provides")
        signals_N = np.concatenate([[numbers[name] for name in self.info.numbers], features])
        if not np.isfinite(signals_N).all():
            return Judgement()
        scaled_N = (signals_N - self.mean_N) / self.deviation_N
        doubt = percentile(float(scaled_N @ self.slope_N) + self.bias, self.score_S)
        if not len(features):
            return Judgement(doubt)
        return Judgement(doubt, novelty(self.distance(features), self.distance_S))

    def distance(self, features_F: F64) -> float:
        """How far features are from the training photographs': the Mahalanobis distance of probabilistic
        principal components, divided by the root of their number, so that 1 is usual.

        Source: Tipping and Bishop, "Probabilistic principal component analysis", JRSS B 61(3), 1999.
        """
        centred = features_F - self.center_F
        along = self.axes_RF @ centred
        beside = max(float(centred @ centred - along @ along), 0.0)
        square = float(((along / self.length_R) ** 2).sum()) + beside / self.rest**2
        return float(np.sqrt(square / len(features_F)))

    def expected_error(self, doubt: float) -> float:
        """The CIEDE2000 that a doubt stands for."""
        return float(np.interp(doubt, np.linspace(0, 1, STEPS), self.error_S))


def percentile(value: float, knots_S: F64) -> float:
    """The place of a value among ascending `knots_S`, which are at 0, 1/(S - 1) .. 1: 0 to 1, monotone."""
    places = np.linspace(0, 1, len(knots_S))
    first, last = np.searchsorted(knots_S, value, "left"), np.searchsorted(knots_S, value, "right")
    if last > first:  # equal knots: the middle of their places
        return float(places[first:last].mean())
    return float(np.interp(value, knots_S, places))


def novelty(distance: float, knots_S: F64) -> float:
    """`percentile` up to UNLIKE; what is further away comes nearer and nearer to 1, so that order is kept.

    Args:
        knots_S: distances of ordinary photographs, ascending.
    """
    usual = knots_S[round(UNLIKE * (len(knots_S) - 1))]
    if distance <= usual:
        return min(percentile(distance, knots_S), UNLIKE)
    return 1 - _TAIL * float(usual / distance)


def picture_numbers(L_hw: F32, ab_2hw: F32) -> dict[str, float]:
    """PICTURE of a picture: mean and 95th percentile of its predicted C*ab, and of L* the mean, the standard
    deviation, and the 5th, 50th and 95th percentile."""
    chroma = np.hypot(ab_2hw[0], ab_2hw[1])
    low, middle, high = np.quantile(L_hw, [0.05, 0.5, 0.95])
    values = (chroma.mean(), np.quantile(chroma, 0.95), L_hw.mean(), L_hw.std(), low, middle, high)
    return dict(zip(PICTURE, map(float, values), strict=True))


def spread_numbers(spread_K: F32 | None) -> dict[str, float]:
    """The spread of the bins by name; empty where there are none."""
    return {} if spread_K is None else dict(zip((*SPREAD, HEADS), map(float, spread_K), strict=False))


_TENSORS = (
    "mean_N", "deviation_N", "slope_N", "score_S", "error_S", "center_F", "axes_RF", "length_R", "distance_S"
)  # fmt: skip
_NUMBERS = ("bias", "rest")


def encode_calibration(calibration: Calibration) -> bytes:
    """The bytes of a calibration: safetensors, the main axes as float16, all else float32."""
    arrays = {name: np.asarray(getattr(calibration, name), np.float32) for name in _TENSORS}
    arrays["axes_RF"] = arrays["axes_RF"].astype(np.float16)
    arrays["numbers"] = np.array([getattr(calibration, name) for name in _NUMBERS], np.float32)
    return bytes(to_safetensors(arrays, {METADATA_KEY: json.dumps(asdict(calibration.info), sort_keys=True)}))


def decode_calibration(data: bytes, name: str) -> Calibration:
    """What `encode_calibration` wrote; `name` is for the message. Raises WeightsError where it is none."""
    try:
        arrays = {key: array.astype(np.float64) for key, array in parse_safetensors(data).items()}
        size = int.from_bytes(data[:8], "little")
        fields: dict[str, Any] = json.loads(json.loads(data[8 : 8 + size])["__metadata__"][METADATA_KEY])
        fields |= {key: tuple(fields[key]) for key in ("numbers", "sources")}
        info = DoubtInfo(**fields)
        numbers = dict(zip(_NUMBERS, map(float, arrays.pop("numbers")), strict=True))
        calibration = Calibration(info=info, **arrays, **numbers)  # type: ignore[arg-type]
        _check(calibration)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        line = " ".join(str(error).split())[:200]
        raise WeightsError(f"{name} is not a calibration of doubt: {type(error).__name__} {line}") from None
    return calibration


def _check(one: Calibration) -> None:
    """Raises ValueError for shapes that do not belong together, and for maps that do not ascend."""
    signals, features = len(one.info.numbers) + one.info.features, one.info.features
    shapes = {
        "mean_N": (signals,), "deviation_N": (signals,), "slope_N": (signals,), "score_S": (STEPS,),
        "error_S": (STEPS,), "center_F": (features,), "axes_RF": (len(one.length_R), features),
        "distance_S": (STEPS,),
    }  # fmt: skip
    if unknown := set(one.info.numbers) - {*SPREAD, HEADS, *PICTURE, LOOK}:
        raise ValueError(f"{min(unknown)} is not a signal that this version knows")
    for name, shape in shapes.items():
        if getattr(one, name).shape != shape or not np.isfinite(getattr(one, name)).all():
            raise ValueError(f"{name} is not finite, of shape {shape}")
    for name in ("score_S", "error_S", "distance_S"):
        if (np.diff(getattr(one, name)) < 0).any():
            raise ValueError(f"{name} does not ascend")


def calibration_uri(weights: str) -> str:
    """Where the calibration of a weights file lies: beside it, with the ending SUFFIX."""
    location, _ = split_digest(weights)
    folder, slash, name = location.rpartition("/")
    stem = name.rpartition(".")[0] or name
    return f"{folder}{slash}{stem}{SUFFIX}"


def find_calibration(weights: str, digest: str, storage: StorageConfig | None = None) -> Calibration | None:
    """The calibration beside the weights at this path or URI, whose SHA-256 is `digest`.

    None if there is none, or if it is for other weights. Raises WeightsError if it is damaged or cannot be
    read.
    """
    uri = calibration_uri(weights)
    folder, _, name = uri.rpartition("/")
    root = folder or ("/" if uri.startswith("/") else ".")
    try:
        data = open_store(root, storage or StorageConfig()).get(name).data
    except (ObjectMissing, AccessDenied):  # S3 denies what is not there to who may not list the bucket
        return None
    except StorageError as error:
        raise WeightsError(f"cannot read the calibration of doubt {uri}: {error}") from None
    calibration = decode_calibration(data, uri)
    return calibration if calibration.info.weights == digest else None
