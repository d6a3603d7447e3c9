"""A family of training runs in one file: what they share, and what sets each apart."""

from __future__ import annotations

import copy
from typing import Any

from pipeline.config.loading import parse, read_yaml
from pipeline.errors import ConfigError
from pipeline.training.settings import TrainConfig


def load_family(file: str, overrides: list[str] | None = None) -> dict[str, TrainConfig]:
    """The runs of a family by name, in the file's order.

    The file holds `common`, a training configuration, and `runs`, a mapping from names to what differs from
    it; `train.name` is the run's name. `overrides` (section.key=value) hold for all. Raises ConfigError for
    anything else.
    """
    data = read_yaml(file)
    if set(data) != {"common", "runs"} or not isinstance(data["runs"], dict) or not data["runs"]:
        raise ConfigError(f"{file} must hold the two sections 'common' and 'runs', and at least one run")
    family = {}
    for name, own in data["runs"].items():
        merged = _merged(copy.deepcopy(data["common"] or {}), own or {})
        merged.setdefault("train", {})["name"] = name
        family[str(name)] = parse(TrainConfig, merged, overrides)
    return family


def load_run(file: str, name: str, overrides: list[str] | None = None) -> TrainConfig:
    """One run of the family. Raises ConfigError where it has none of this name."""
    family = load_family(file, overrides)
    if name not in family:
        raise ConfigError(f"{file} has no run {name!r}; there are: {', '.join(family)}")
    return family[name]


def _merged(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    for key, value in own.items():
        inner = base.get(key)
        base[key] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return base
