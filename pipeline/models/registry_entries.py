"""The name of a weights registry, and the content of its entries as JSON. Does not import torch."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import AwareDatetime, Field, model_validator

from pipeline.config.section import Section
from pipeline.errors import ConfigError

WEIGHTS_PATTERN = r"^weights/[0-9a-f]{64}\.(safetensors|onnx)#sha256=[0-9a-f]{64}$"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def registry_name(uri: str) -> str:
    """The name in REGISTRY/NAME. Raises ConfigError where there is no valid one."""
    place, _, name = uri.rstrip("/").rpartition("/")
    if not _NAME.fullmatch(name) or place.endswith(("/", ":")) or "#" in place:
        raise ConfigError(
            f"{uri!r} is not the name of a weights registry; give FOLDER/NAME or s3://BUCKET/PREFIX/NAME "
            "with a NAME of letters, digits, '.', '_' and '-'"
        )
    return name


class Difference(Section):
    """One metric of the challenger beside one reference, over the same photographs.

    `difference` is the mean of challenger - reference, [`low`, `high`] its bootstrap confidence interval, in
    the metric's unit; `verdict` is what they mean, given the direction and the tolerance.
    """

    metric: str
    better: Literal["higher", "lower"]
    tolerance: float
    reference: str
    photographs: int
    mean_reference: float
    mean_challenger: float
    difference: float
    low: float
    high: float
    verdict: Literal["better", "equal", "worse"]


class Evaluation(Section):
    """What was measured before an entry was written; enough to repeat the measurement."""

    photos: str
    photographs: int
    short_side: int
    confidence: float
    resamples: int
    seed: int
    differences: tuple[Difference, ...]


class RegistryEntry(Section):
    """One entry of a weights registry. `weights` is relative to the name's folder, so that a registry can be
    moved or copied."""

    number: int = Field(ge=1, le=999_999)
    reason: Literal["first", "promotion", "rollback", "import"]
    method: str
    weights: str = Field(pattern=WEIGHTS_PATTERN)
    source: str = Field(description="where the file came from: a URI, or the entry that was rolled back to")
    previous: int | None = Field(description="the champion before")
    restores: int | None = Field(None, description="of a rollback: the entry whose weights came back")
    evaluation: Evaluation | None = None
    software: str
    made_by: str
    made_at: AwareDatetime

    @property
    def sha256(self) -> str:
        """Of the weights file, 64 hex digits."""
        return self.weights.rpartition("=")[2]

    @model_validator(mode="after")
    def _consistent(self) -> RegistryEntry:
        if self.weights not in (relative_weights(self.sha256), relative_weights(self.sha256, ".onnx")):
            raise ValueError("the weights' name and their digest differ")
        if (self.reason == "rollback") != (self.restores is not None):
            raise ValueError("only a rollback restores an entry, and it must restore one")
        if (self.previous or 0) >= self.number or (self.restores or 0) >= self.number:
            raise ValueError("an entry can only follow earlier ones")
        return self


def relative_weights(digest: str, suffix: str = ".safetensors") -> str:
    """The file of this SHA-256 below a name's folder, with its `#sha256=`."""
    return f"weights/{digest}{suffix}#sha256={digest}"
