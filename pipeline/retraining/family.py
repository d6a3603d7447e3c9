"""A family of training runs in one file: common settings, and the differences of each run."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, TypeVar

from pipeline.config.loading import parse, read_yaml
from pipeline.errors import ConfigError
from pipeline.storage import refuse_overlap
from pipeline.training.sections import TrainSettings

T = TypeVar("T", bound=TrainSettings)


@dataclass(frozen=True)
class FamilyRequest:
    """The arguments of `jobs/retrain_family.py`. All of `output` can be made again; a retraining that was
    stopped continues there."""

    photos: tuple[str, ...]
    held_out: tuple[str, ...]
    output: str
    family: str
    evaluation: str
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()


def requested_family(request: FamilyRequest, kind: type[T]) -> dict[str, T]:
    """The runs of the request's family, with their places set.

    Raises ConfigError for places that overlap, a bad family, or unknown names in `only`.
    """
    for uri in (*request.photos, *request.held_out):
        refuse_overlap(uri, request.output, own=())
    family = family_of(request.family, kind, [*request.overrides, *_places(request)])
    for name in request.only:
        run_of(family, name, request.family)
    return family


def _places(request: FamilyRequest) -> list[str]:
    return [
        f"data.photos={request.output}/train-photos",
        f"train.storage={request.output}/train-runs",
    ]


def family_of(file: str, kind: type[T], overrides: list[str] | None = None) -> dict[str, T]:
    """The runs of a family by name, in the file's order.

    The file holds `common`, a training configuration, and `runs`, a mapping from names to what differs from
    it; `train.name` is the run's name. `kind` is `TrainConfig`, or `TrainSettings`, which needs no torch.
    `overrides` (section.key=value) hold for all. Raises ConfigError for anything else.
    """
    data = read_yaml(file)
    if set(data) != {"common", "runs"} or not isinstance(data["runs"], dict) or not data["runs"]:
        raise ConfigError(f"{file} must hold the two sections 'common' and 'runs', and at least one run")
    family = {}
    for name, own in data["runs"].items():
        merged = _merged(copy.deepcopy(data["common"] or {}), own or {})
        merged.setdefault("train", {})["name"] = name
        family[str(name)] = parse(kind, merged, overrides)
    return family


def run_of(family: dict[str, T], name: str, file: str) -> T:
    """The run of this name. Raises ConfigError where the family of this file has none."""
    if name not in family:
        raise ConfigError(f"{file} has no run {name!r}; there are: {', '.join(family)}")
    return family[name]


def _merged(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    for key, value in own.items():
        inner = base.get(key)
        base[key] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return base
