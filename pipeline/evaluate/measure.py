"""Colour one photograph with every entry and the baselines, and measure the results."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from pipeline.color import metrics
from pipeline.color.luminance import downscale_luminance, luminance_u16_from_srgb8
from pipeline.evaluate.coloring import open_coloring
from pipeline.evaluate.inception import Inception
from pipeline.evaluate.perceptual import Lite0
from pipeline.evaluate.photograph_list import Photograph, Reader, Unreadable, reduced
from pipeline.evaluate.settings import GRAY, SEEN, TINT, TRUTH, EvaluateConfig
from pipeline.shard.compose import compose

U8 = NDArray[np.uint8]

PSNR_CEILING = float(10 * np.log10(12 * 255.0**2))
"""58.9 dB: the noise of rounding to 8 bits, a mean square of 1/12. A gray photograph coloured gray has an
infinite PSNR, which would make every mean infinite; above this, two 8-bit images differ by rounding alone."""

SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("group", pa.string()),
        ("colored_by", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("psnr_db", pa.float32()),
        ("ssim", pa.float32()),
        ("ab_rmse", pa.float32()),
        ("ciede2000", pa.float32()),
        ("auc_ab", pa.float32()),
        ("colorfulness_signed", pa.float32()),
        ("colorfulness_absolute", pa.float32()),
        ("mean_chroma", pa.float32()),
        ("lite0_perceptual", pa.float32()),
        ("label", pa.string()),
        ("top1_correct", pa.bool_()),
        ("lite0_features", pa.list_(pa.float32())),
        ("inception_features", pa.list_(pa.float32())),
    ]
)
"""One row per photograph and colouring. Errors against the photograph are null for "ground truth";
`top1_correct` is null where `label`, the ImageNet wnid, is ""; `inception_features` without
`evaluate.inception`; `psnr_db` is at most PSNR_CEILING. Sources:
`pipeline/color/metrics.py` and `perceptual.py`."""


@dataclass(frozen=True)
class MeasuringTask:
    """The settings of all workers. `shown`: by key, the short sides at which pictures of it are needed."""

    input: str
    config: EvaluateConfig
    tint_ab: tuple[float, float]
    shown: dict[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Measurements:
    """The results for some photographs: rows of SCHEMA, the unreadable ones (key, reason), and pictures.

    `pictures`: PNG bytes by (key, short side, colored_by).
    """

    rows: pa.Table
    unreadable: list[tuple[str, str]]
    pictures: dict[tuple[str, int, str], bytes]


class Painter:
    """All entries, loaded once, and the baselines beside them."""

    def __init__(self, task: MeasuringTask, device: str) -> None:
        settings = task.config.evaluate
        self._tint = np.array(task.tint_ab, dtype=np.float32)[:, None, None]
        self._colorings = {
            entry.name: open_coloring(entry, settings.precision, task.config.storage, device)
            for entry in settings.entries
        }

    def __call__(self, truth: U8, plate: U8 | None = None) -> dict[str, U8]:
        """The photograph uint8[H,W,3] and its colourings, all with its own lightness, composed as the product
        composes them (`pipeline.shard.compose`). Networks see that lightness, or that of a `plate` as
        large."""
        l_u16 = luminance_u16_from_srgb8(truth)
        seen_u16 = l_u16 if plate is None else luminance_u16_from_srgb8(plate)
        L_hw = downscale_luminance(seen_u16, -(-max(truth.shape[:2]) // 8) * 8)
        chroma = {GRAY: np.zeros((2, 1, 1), np.float32), TINT: self._tint}
        chroma |= {name: coloring(L_hw) for name, coloring in self._colorings.items()}
        return {TRUTH: truth} | {name: compose(l_u16, ab_2hw).rgb for name, ab_2hw in chroma.items()}


class Measurer:
    """Reader, networks and classifier of one worker process. It is plain Python and knows nothing of Ray."""

    def __init__(self, task: MeasuringTask, device: str = "cpu") -> None:
        settings = task.config.evaluate
        self._task = task
        self._reader = Reader(task.input, settings.pixels, task.config.storage)
        self._painter = Painter(task, device)
        self._lite0 = Lite0(device)
        self._inception = (
            None if settings.inception is None else Inception(settings.inception, task.config.storage, device)
        )

    def run(self, photos: Sequence[Photograph]) -> Measurements:
        """Measure the photographs, each read once. Raises StorageError where the input cannot be read."""
        rows: list[dict[str, Any]] = []
        unreadable: list[tuple[str, str]] = []
        pictures: dict[tuple[str, int, str], bytes] = {}
        for photo in photos:
            try:
                image, plate = self._reader.read(photo), self._reader.read_plate(photo)
            except Unreadable as error:
                unreadable.append((photo.key, str(error)))
                continue
            rows += self._rows(photo, self._colored(image, plate, self._task.config.evaluate.side))
            for side in self._task.shown.get(photo.key, ()):
                colored = self._colored(image, plate, side)
                colored[SEEN] = colored[GRAY] if plate is None else _as_large(plate, colored[TRUTH])
                for name, picture in colored.items():
                    pictures[photo.key, side, name] = _png(picture)
        return Measurements(pa.Table.from_pylist(rows, SCHEMA), unreadable, pictures)

    def _colored(self, image: Image.Image, plate: Image.Image | None, side: int) -> dict[str, U8]:
        truth = reduced(image, side)
        return self._painter(truth, None if plate is None else _as_large(plate, truth))

    def _rows(self, photo: Photograph, colored: dict[str, U8]) -> list[dict[str, Any]]:
        truth = colored[TRUTH]
        judged = self._lite0(list(colored.values()))  # the truth is the first
        inception_N = (
            [None] * len(colored) if self._inception is None else self._inception([*colored.values()])
        )
        lab_truth = metrics.to_lab(truth)
        rows = []
        for number, (name, rgb8) in enumerate(colored.items()):
            lab = lab_truth if name == TRUTH else metrics.to_lab(rgb8)
            row: dict[str, Any] = {
                "key": photo.key,
                "group": photo.group,
                "colored_by": name,
                "width": truth.shape[1],
                "height": truth.shape[0],
                "colorfulness_signed": metrics.colorfulness(rgb8),
                "colorfulness_absolute": metrics.colorfulness_absolute(rgb8),
                "mean_chroma": metrics.mean_chroma(lab),
                "label": photo.wnid,
                "top1_correct": judged.wnid_N[number] == photo.wnid if photo.wnid else None,
                "lite0_features": judged.features_N1280[number],
                "inception_features": inception_N[number],
            }
            if name != TRUTH:
                row |= _errors(truth, lab_truth, rgb8, lab)
                row["lite0_perceptual"] = float(judged.distance_N[number])
            rows.append(row)
        return rows


def _errors(truth: U8, lab_truth: metrics.Lab, rgb8: U8, lab: metrics.Lab) -> dict[str, float]:
    return {
        "psnr_db": min(metrics.psnr(truth, rgb8), PSNR_CEILING),
        "ssim": metrics.ssim(truth, rgb8),
        "ab_rmse": metrics.ab_rmse(lab_truth, lab),
        "ciede2000": metrics.ciede2000(lab_truth, lab),
        "auc_ab": metrics.ab_auc(lab_truth, lab),
    }


def _as_large(plate: Image.Image, truth: U8) -> U8:
    """The plate at the photograph's size, in gray, uint8[H,W,3]."""
    size = (truth.shape[1], truth.shape[0])
    return np.asarray(plate.convert("L").convert("RGB").resize(size, Image.Resampling.LANCZOS))


def _png(rgb8: U8) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb8).save(buffer, "PNG")
    return buffer.getvalue()
