"""Colour errors on photographs whose colours are known: a model beside the two baselines it must beat."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pipeline import metrics
from pipeline.color import L_U16_SCALE, lab_to_srgb, reduce_chroma_to_gamut
from pipeline.config import StorageConfig
from pipeline.errors import ConfigError
from pipeline.luminance import downscale_luminance, luminance_u16_from_srgb8
from pipeline.models.base import Colorizer
from pipeline.models.registry import load_colorizer, weights_info
from pipeline.storage import Store, open_store
from pipeline.training.config import EvaluateConfig

U8 = NDArray[np.uint8]
PAIRED: dict[str, Callable[[U8, U8], float]] = {
    "psnr_db": metrics.psnr,
    "ab_rmse": metrics.ab_rmse,
    "ciede2000": metrics.ciede2000,
}
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True)
class Row:
    """Means over the photographs of one group for one way to colour them.

    PSNR in dB over sRGB, ab-RMSE in Lab units, CIEDE2000, and colourfulness M3 of the result; sources in
    `pipeline/metrics.py`. ("truth" has no errors: JSON has no infinity.)
    """

    group: str
    colored_by: str
    photographs: int
    psnr_db: float | None
    ab_rmse: float | None
    ciede2000: float | None
    colorfulness: float


def evaluate(photos: str, weights: str | None, config: EvaluateConfig) -> dict[str, Any]:
    """Colour every photograph under `photos` from its own lightness and measure the differences.

    The reduced photograph is the truth; chroma is laid over its lightness and brought into the gamut as the
    product does. The photographs' manifest.csv gives the groups (`source`), else their first folder. Raises
    ConfigError where there is no photograph, WeightsError as `load_colorizer` does.
    """
    settings = config.evaluate
    torch.set_num_threads(settings.threads)
    loaded = load_colorizer(settings.method, weights, precision=settings.precision, storage=config.storage)
    tint = weights_info(settings.method, weights, storage=config.storage).mean_ab
    measured: dict[tuple[str, str], list[dict[str, float]]] = {}
    for group, truth in _photographs(photos, config):
        for name, colored in _colorings(truth, loaded.colorizer, tint).items():
            values = {key: metric(truth, colored) for key, metric in PAIRED.items() if name != "truth"}
            values["colorfulness"] = metrics.colorfulness(colored)
            for part in (group, "all"):
                measured.setdefault((part, name), []).append(values)
    rows = [_mean_row(group, name, values) for (group, name), values in measured.items()]
    # Groups by name, all of them together last.
    rows.sort(key=lambda row: (row.group == "all", row.group))
    about = {
        "method": settings.method,
        "weights_sha256": loaded.weights_digest,
        "precision": loaded.precision,
    }
    return about | {"short_side": settings.side, "tint_ab": list(tint), "rows": [asdict(row) for row in rows]}


def _mean_row(group: str, name: str, values: list[dict[str, float]]) -> Row:
    means = {key: round(float(np.mean([v[key] for v in values])), 3) for key in values[0]}
    errors = {key: means.get(key) for key in PAIRED}
    return Row(group, name, len(values), colorfulness=means["colorfulness"], **errors)


def _photographs(uri: str, config: EvaluateConfig) -> Iterator[tuple[str, U8]]:
    """(group, uint8[H,W,3]) with the short side at most `evaluate.side`."""
    store = open_store(uri, config.storage)
    store.check_readable()
    groups = _groups(store)
    keys = [info.key for info in store.list() if info.key.lower().endswith(SUFFIXES)]
    if not keys:
        raise ConfigError(f"{uri} holds no photographs ({', '.join(SUFFIXES)})")
    for key in keys[: config.evaluate.limit]:
        try:
            with Image.open(io.BytesIO(store.get(key).data)) as opened:
                photo = ImageOps.exif_transpose(opened).convert("RGB")
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise ConfigError(f"{uri}/{key} cannot be read, take it out to evaluate: {error}") from None
        factor = min(1.0, config.evaluate.side / min(photo.size))
        size = (max(32, round(photo.width * factor)), max(32, round(photo.height * factor)))
        yield groups.get(key, key.split("/")[0]), np.asarray(photo.resize(size, Image.Resampling.LANCZOS))


def _groups(store: Store) -> dict[str, str]:
    if not store.exists("manifest.csv"):
        return {}
    reader = csv.DictReader(io.StringIO(store.get("manifest.csv").data.decode("utf-8-sig")))
    return {row["file"]: row["source"] for row in reader if row.get("file") and row.get("source")}


def _colorings(truth: U8, colorizer: Colorizer, tint: tuple[float, float]) -> dict[str, U8]:
    l_u16 = luminance_u16_from_srgb8(truth)
    L_hw = downscale_luminance(l_u16, max(truth.shape[:2]))
    ab_B2hw = colorizer.predict_ab(torch.from_numpy(L_hw)[None, None])
    ab_B2HW = F.interpolate(ab_B2hw, truth.shape[:2], mode="bilinear", align_corners=False)
    model = ab_B2HW[0].permute(1, 2, 0).numpy()
    return {
        "gray": _with_chroma(l_u16, np.zeros_like(model)),
        "constant tint": _with_chroma(l_u16, np.broadcast_to(np.array(tint, dtype=np.float32), model.shape)),
        "model": _with_chroma(l_u16, model),
        "truth": truth,
    }


def _with_chroma(l_u16: NDArray[np.uint16], ab_HW2: NDArray[np.float32]) -> U8:
    L_HW1 = (l_u16 / np.float32(L_U16_SCALE)).astype(np.float32)[..., None]
    lab = reduce_chroma_to_gamut(np.concatenate([L_HW1, ab_HW2], axis=-1))
    return np.asarray(np.round(lab_to_srgb(lab) * 255), dtype=np.uint8)


def markdown(report: dict[str, Any]) -> str:
    """The report's rows as a table for a model card."""
    lines = [
        "| photographs | coloured by | PSNR, dB | ab-RMSE | CIEDE2000 | colourfulness |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for row in report["rows"]:
        errors = ["" if row[key] is None else f"{row[key]:.2f}" for key in PAIRED]
        group = f"{row['group']} ({row['photographs']})"
        lines.append(f"| {group} | {row['colored_by']} | {' | '.join(errors)} | {row['colorfulness']:.1f} |")
    return "\n".join(lines) + "\n"


def write_report(report: dict[str, Any], output: str, storage: StorageConfig) -> None:
    """evaluation.json and evaluation.md in the folder or bucket `output`."""
    store = open_store(output, storage)
    store.check_writable()
    store.put("evaluation.json", (json.dumps(report, indent=2) + "\n").encode(), "application/json")
    store.put("evaluation.md", markdown(report).encode(), "text/markdown")
