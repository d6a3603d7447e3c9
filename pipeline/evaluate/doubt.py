"""Fit and measure doubt; `commands/doubt.py` calls this."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import ConfigError
from pipeline.evaluate.doubt_fit import calibrate, with_photographs
from pipeline.evaluate.doubt_observe import (
    JudgedNetwork,
    Say,
    Seen,
    features_of,
    observed,
    open_network,
    photographs,
    see,
    wants_look,
)
from pipeline.evaluate.doubt_settings import DoubtConfig
from pipeline.evaluate.risk import COVERAGES, MEASURES, deciles, risk_at, with_interval
from pipeline.evaluate.sheets import jpeg
from pipeline.models.doubt import (
    Calibration,
    DoubtInfo,
    calibration_uri,
    encode_calibration,
    find_calibration,
)
from pipeline.report.grid import GridRow, grid_sheet
from pipeline.storage import Store, open_store

F64 = NDArray[np.float64]
SHOWN = 12
"""Photographs at either end of the doubt on the sheet."""

_HEADINGS = {
    "spearman": "Spearman of doubt and CIEDE2000",
    "auroc_worst_fifth": "AUROC of the worst fifth",
    "worst_tenth_by_mean": "error of the worst tenth by doubt / mean error",
    "aurc": "area under the risk-coverage curve, CIEDE2000",
}


def fit_doubt(
    weights: str,
    held_out: str | None,
    training: str | None,
    config: DoubtConfig,
    say: Say,
    output: str | None = None,
) -> str:
    """Fit a calibration, or the novelty of one that is there, and write it.

    Args:
        held_out: photographs that the weights were not trained on; None: doubt stays as it is in the
            calibration beside the weights.
        training: photographs that they were trained on, to measure novelty from; None: from `held_out`.
        output: path or URI of the calibration; None: beside the weights, where a job looks for it.

    Returns:
        A line that says what was written.

    Raises:
        ConfigError: too few photographs, or none; no calibration. WeightsError: the weights cannot be had.
            StorageError: the calibration cannot be written.
    """
    network = open_network(weights, config)
    calibration = (
        _existing(network, weights, config) if held_out is None else _fitted(network, held_out, config, say)
    )
    if training is not None:
        settings = config.doubt
        photos = photographs(training, config, split=settings.training_split, count=settings.training)
        features_PF = features_of(training, photos, network, config, say)
        calibration = with_photographs(calibration, features_PF)
        info = replace(calibration.info, training=len(features_PF), side=settings.side)
        calibration = replace(calibration, info=info)
    place = output or calibration_uri(network.location)
    folder, _, name = place.rpartition("/")
    store = open_store(folder or ("/" if place.startswith("/") else "."), config.storage)
    store.put(name, encode_calibration(calibration))
    return f"wrote {place}, fitted on {calibration.info.photographs:,} photographs"


def _fitted(network: JudgedNetwork, held_out: str, config: DoubtConfig, say: Say) -> Calibration:
    settings, looks = config.doubt, wants_look(network, config)
    photos = photographs(
        held_out, config, split=settings.split, count=settings.photographs, groups=settings.groups
    )
    seen = list(see(held_out, photos, network, config, say, looks=looks))
    sources = tuple(sorted({one.photo.group for one in seen}))
    info = DoubtInfo(network.digest, (), 0, len(seen), sources, side=settings.side)
    return calibrate(observed(seen), info)


def _existing(network: JudgedNetwork, weights: str, config: DoubtConfig) -> Calibration:
    calibration = find_calibration(network.location, network.digest, config.storage)
    if calibration is None:
        raise ConfigError(
            f"the weights {weights} have no calibration of doubt; fit one with --fit PHOTOGRAPHS that they "
            "were not trained on"
        )
    return calibration


def measure_doubt(weights: str, input_uri: str, output: str, config: DoubtConfig, say: Say) -> str:
    """Colour photographs whose colours are known, and compare the doubt with the error.

    Writes doubt.parquet (a row a photograph), doubt.md, doubt.json and two sheets. Returns the Markdown.

    Raises:
        ConfigError: no photographs, or the weights have no calibration. WeightsError, StorageError: as
            `fit_doubt`.
    """
    settings, network = config.doubt, open_network(weights, config)
    calibration = _existing(network, weights, config)
    target = open_store(output, config.storage)
    target.check_writable()
    photos = photographs(
        input_uri, config, split=settings.split, count=settings.photographs, groups=settings.groups
    )
    seen = list(see(input_uri, photos, network, config, say, looks=calibration.looks))
    rows = pa.Table.from_pylist([_row(one, calibration) for one in seen])
    doubt_P, error_P = (rows[name].to_numpy().astype(np.float64) for name in ("doubt", "ciede2000"))
    document = _document(weights, network, input_uri, doubt_P, error_P, calibration, config)
    text = _markdown(document)
    buffer = io.BytesIO()
    pq.write_table(rows, buffer, compression="zstd")
    target.put("doubt.parquet", buffer.getvalue())
    target.put("doubt.json", (json.dumps(document, indent=2) + "\n").encode(), "application/json")
    target.put("doubt.md", text.encode(), "text/markdown; charset=utf-8")
    _put_sheets(target, seen, rows)
    return text


def _row(one: Seen, calibration: Calibration) -> dict[str, Any]:
    judged = calibration.judge(one.numbers, one.features_F)
    return {
        "key": one.photo.key,
        "group": one.photo.group,
        "ciede2000": one.error,
        "doubt": judged.doubt,
        "novelty": judged.novelty,
        **one.numbers,
    }


def _document(
    weights: str,
    network: JudgedNetwork,
    input_uri: str,
    doubt_P: F64,
    error_P: F64,
    calibration: Calibration,
    config: DoubtConfig,
) -> dict[str, Any]:
    settings = config.doubt
    measures = {
        name: with_interval(measure, doubt_P, error_P, settings.resamples, settings.seed)
        for name, measure in MEASURES.items()
    }
    best, none = MEASURES["aurc"](error_P, error_P), float(error_P.mean())
    return {
        "weights": weights,
        "weights_sha256": network.digest,
        "fitted_on": calibration.info.photographs,
        "input": input_uri,
        "photographs": len(error_P),
        "side": settings.side,
        "measures": measures,
        "aurc_best": best,
        "aurc_without": none,
        "risk": {f"{coverage:g}": risk_at(doubt_P, error_P, coverage) for coverage in COVERAGES},
        "risk_best": {f"{coverage:g}": risk_at(error_P, error_P, coverage) for coverage in COVERAGES},
        "deciles": [
            (doubt, error, calibration.expected_error(doubt), count)
            for doubt, error, count in deciles(doubt_P, error_P)
        ],
    }


def _markdown(document: dict[str, Any]) -> str:
    lines = [
        f"Doubt of `{document['weights']}` on {document['photographs']} photographs of {document['input']}, "
        f"short side {document['side']} pixels; the calibration was fitted on {document['fitted_on']}.",
        "",
        "| measure | value [95 % interval] |",
        "|---|---:|",
    ]
    for name, (value, low, high) in document["measures"].items():
        lines.append(f"| {_HEADINGS[name]} | {value:.2f} [{low:.2f}, {high:.2f}] |")
    lines.append(
        f"| the same area, for photographs in any order; sorted by their error | "
        f"{document['aurc_without']:.2f}; {document['aurc_best']:.2f} |"
    )
    lines += ["", "| share kept, the least doubtful first | mean CIEDE2000 | of the best order |"]
    lines += ["|---:|---:|---:|"]
    for coverage, risk in document["risk"].items():
        lines.append(f"| {float(coverage):.0%} | {risk:.2f} | {document['risk_best'][coverage]:.2f} |")
    lines += ["", "| tenth by doubt | mean doubt | CIEDE2000 | expected | photographs |"]
    lines += ["|---:|---:|---:|---:|---:|"]
    for number, (doubt, error, expected, count) in enumerate(document["deciles"], 1):
        lines.append(f"| {number} | {doubt:.2f} | {error:.2f} | {expected:.2f} | {count} |")
    return "\n".join(lines) + "\n"


def _put_sheets(target: Store, seen: list[Seen], rows: pa.Table) -> None:
    """The most and the least doubtful photographs, coloured and as they are."""
    order = np.argsort(-rows["doubt"].to_numpy(), kind="stable")
    for name, title, chosen in (
        ("most-doubtful", "The most doubtful", order[:SHOWN]),
        ("least-doubtful", "The least doubtful", order[::-1][:SHOWN]),
    ):
        grid = []
        for place in chosen:
            one, row = seen[place], rows.slice(int(place), 1).to_pylist()[0]
            gray = Image.fromarray(one.truth).convert("L").convert("RGB")
            pictures = [gray, Image.fromarray(one.colored), Image.fromarray(one.truth)]
            caption = f"doubt {row['doubt']:.2f}, CIEDE2000 {one.error:.1f}"
            grid.append(GridRow(pictures, caption))
        target.put(
            f"{name}.jpg", jpeg(grid_sheet(["input", "coloured", "truth"], grid, 150, title)), "image/jpeg"
        )
