"""The configuration of `jobs/evaluate.py`."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field, model_validator

from pipeline.config.job import DEFAULT_METHOD
from pipeline.config.loading import load
from pipeline.config.section import Quantity, Section
from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError
from pipeline.models.names import DEFAULT_WEIGHTS
from pipeline.models.weights_location import shipped_names

GRAY = "gray"
TINT = "constant tint"
TRUTH = "ground truth"
BASELINES = (GRAY, TINT, TRUTH)
SEEN = "input"
"""What the networks see of a photograph, in gray, as the sheets may show it; it is not measured."""
OWN = "own"
"""The photograph's own lightness as input, among `plates`."""

METRICS = (
    "psnr_db",
    "ssim",
    "ab_rmse",
    "ciede2000",
    "auc_ab",
    "colorfulness_signed",
    "colorfulness_absolute",
    "mean_chroma",
    "lite0_perceptual",
    "top1_correct",
)
"""Columns of the table per photograph whose mean is reported."""

_DEFAULT = DEFAULT_WEIGHTS[DEFAULT_METHOD]


class NetworkEntry(Section):
    """A network to measure, and its name in the table."""

    name: str = Field(min_length=1, description="as the table and the sheets call it")
    method: str | None = Field(
        None, description="a method, see docs/methods.md; null: the method of the weights"
    )
    weights: str | None = Field(None, description="shipped name, path or URI, optional #sha256=...")
    contract: str | dict[str, Any] | None = Field(None, description="of ONNX weights, as model.contract")
    mirrored: bool = Field(False, description="the mean of the picture's colours and its mirror image's")
    others: tuple[str, ...] = Field((), description="the mean with these weights' colours too")


def shortcuts(**options: str | None) -> list[str]:
    """The options `methods`, `sheets`, `split` and `limit` of the job as `section.key=value`.

    Raises ConfigError for malformed methods or a sheets file that `load` refuses.
    """
    given = {key: value for key, value in options.items() if value is not None}
    if "methods" in given:
        given["entries"] = json.dumps(entries_of(given.pop("methods")))
    if "sheets" in given:
        given["sheets"] = json.dumps(load(SheetsFile, given["sheets"]).model_dump(mode="json")["sheets"])
    return [f"evaluate.{key}={value}" for key, value in given.items()]


def entries_of(methods: str) -> list[dict[str, str]]:
    """`a,b,name=URI` as entries: what stands alone names shipped weights or a file, which is then its name;
    `all` are all shipped weights.

    Raises ConfigError for an empty one.
    """
    if methods.strip() == "all":
        return [{"name": name, "weights": name} for name in shipped_names()]
    entries = []
    for text in methods.split(","):
        name, equals, weights = text.strip().partition("=")
        if not equals or "#" in name or "/" in name:  # the "=" of a URI's "#sha256=" names nothing
            weights = text.strip()
            name = (
                weights.partition("#")[0]
                .rsplit("/", 1)[-1]
                .removesuffix(".safetensors")
                .removesuffix(".onnx")
            )
        if not name or not weights:
            raise ConfigError(f"--methods {methods!r}: give names of shipped weights, files, or name=file")
        entries.append({"name": name, "weights": weights})
    return entries


class Sheet(Section):
    """A contact sheet: one photograph a row, one colouring a column."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]+$", description="of the picture file, without its ending")
    title: str = ""
    columns: dict[str, str] = Field(min_length=1, description="heading: entry, or one of the baselines")
    keys: tuple[str, ...] = Field((), description="photographs, in this order; none: evenly spaced ones")
    count: int = Field(8, ge=1, le=200, description="photographs where no keys are given")
    groups: tuple[str, ...] = Field((), description="take the evenly spaced ones from these; none: all")
    side: int | None = Field(None, ge=32, le=2048, description="short side to colour at; null: evaluate.side")
    height: int = Field(160, ge=32, le=1024, description="of a picture on the sheet, pixels")


class SheetsFile(Section):
    """The file given with `--sheets`."""

    sheets: tuple[Sheet, ...] = Field(min_length=1)


class EvaluateSection(Section):
    """What is measured, on what, and where."""

    entries: tuple[NetworkEntry, ...] = Field((NetworkEntry(name=_DEFAULT, weights=_DEFAULT),), min_length=1)
    side: int = Field(
        128, ge=32, le=4096, description="short side the photographs are scaled down to, pixels"
    )
    split: str = Field("val", description="of training Parquet; of other Parquet, how the files' names start")
    groups: tuple[str, ...] = Field((), description="measure photographs of these sources only; none: all")
    plates: tuple[str, ...] = Field(
        (OWN,), min_length=1, description="what networks see: own lightness, or pictures by manifest column"
    )
    limit: int | None = Field(None, ge=1, description="measure the first N photographs")
    against: str = Field(TINT, description="the entry or baseline that differences are taken to")
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    tint_ab: tuple[float, float] | None = Field(
        None, description="a*, b* of the constant tint; null: the training mean of the first entry's weights"
    )
    max_unreadable: float = Field(
        0.01, ge=0, le=1, description="a larger share of unreadable photographs stops it"
    )
    pixels: Quantity = Field(100_000_000, ge=1, description="larger photographs count as unreadable")
    seed: int = Field(0, ge=0, description="of the bootstrap")
    resamples: int = Field(2000, ge=100, description="of the bootstrap")
    frechet_resamples: int = Field(50, ge=0, description="of the Frechet distance's; 0: no interval")
    inception: str | None = Field(
        None, description="ONNX or TorchScript file of Inception's features, for FID; null: no FID"
    )
    cost_photographs: int = Field(
        4, ge=0, le=1000, description="on which CPU seconds and peak memory are measured; 0: not at all"
    )
    workers: int | None = Field(None, ge=1, description="null: one per core or GPU")
    address: str | None = Field(None, description="Ray cluster; null: the job's own, else a local one")
    shard: int = Field(8, ge=1, le=1000, description="photographs that a worker takes at a time")
    stall_seconds: int = Field(1800, ge=30, description="stop the run after this long without progress")
    sheets: tuple[Sheet, ...] = ()

    @model_validator(mode="after")
    def _names(self) -> EvaluateSection:
        names = [entry.name for entry in self.entries]
        if len(set(self.plates)) < len(self.plates):
            raise ValueError("evaluate.plates names a plate twice")
        twice = next((name for name in names if names.count(name) > 1 or name in (*BASELINES, SEEN)), None)
        if twice is not None:
            raise ValueError(f"every entry needs a name of its own, {twice!r} is taken")
        if self.against not in (GRAY, TINT, *names):
            known = ", ".join((GRAY, TINT, *names))
            raise ValueError(f"against={self.against!r} is not one of: {known}")
        sheets = [sheet.name for sheet in self.sheets]
        if len(set(sheets)) < len(sheets):
            raise ValueError("every sheet needs a name of its own")
        for sheet in self.sheets:
            shown = (*BASELINES, SEEN, *names)
            unknown = [who for who in sheet.columns.values() if who not in shown]
            if unknown:
                known = ", ".join(shown)
                raise ValueError(f"the sheet {sheet.name!r} shows {unknown[0]!r}, not one of: {known}")
        return self


class EvaluateConfig(Section):
    """The whole configuration of `jobs/evaluate.py`."""

    evaluate: EvaluateSection = EvaluateSection()
    storage: StorageConfig = StorageConfig()
