"""A validated configuration from a YAML file and `--set section.key=value`.

An unknown key or a bad value is a `ConfigError` (exit 2) of one line that names the key, the value and what
is allowed. `effective_yaml` is saved with every run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from pipeline.errors import HIDDEN, ConfigError

C = TypeVar("C", bound=BaseModel)
_SECRET = ("webhook",)  # keys whose values are not printed


def load(model: type[C], file: str | None = None, overrides: list[str] | None = None) -> C:
    """A validated configuration from defaults, then the YAML file, then `section.key=value` overrides.

    Raises:
        ConfigError: file missing or no YAML mapping, unknown key or bad value.
    """
    return parse(model, read_yaml(file) if file else {}, overrides)


def parse(model: type[C], data: dict[str, Any], overrides: list[str] | None = None) -> C:
    """Like `load`, from a mapping that has been read already; the overrides modify the mapping."""
    for override in overrides or []:
        _apply(data, override)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError(_explain(model, error)) from None


def read_yaml(file: str) -> dict[str, Any]:
    """The mapping in a YAML file. Raises ConfigError where there is none."""
    try:
        data = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {file}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not YAML: {_yaml_problem(error)}") from None
    if not isinstance(data or {}, dict):
        raise ConfigError(f"{file} must hold sections such as 'output:', not a {type(data).__name__}")
    return data or {}


def _yaml_problem(error: Exception) -> str:
    """The parser's message without the quoted line of the file, which may contain a secret."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return " ".join(str(error).split())


def effective_yaml(config: BaseModel) -> str:
    """The whole configuration, defaults included, as YAML that `load` reads back to an equal object.

    Of a webhook with a path, which may be a secret, only the host is included; `load` asks for the rest.
    """
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def _apply(data: dict[str, Any], override: str) -> None:
    """Set one `section.key=value` in place; the value is read as YAML (`null`, `true`, `[a, b]`)."""
    path, equals, text = override.partition("=")
    parts = path.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(f"--set {override!r} is not of the form section.key=value, e.g. output.format=png")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    for part in parts[:-1]:
        data = data.setdefault(part, {}) if data.get(part) is not None else _fresh(data, part)
        if not isinstance(data, dict):
            raise ConfigError(f"--set {override!r}: {part!r} is a value and has no keys below it")
    data[parts[-1]] = value


def _fresh(data: dict[str, Any], part: str) -> dict[str, Any]:
    data[part] = {}
    section: dict[str, Any] = data[part]
    return section


def _explain(model: type[BaseModel], error: ValidationError) -> str:
    """One line for the first validation error (key, value, what is allowed), and the number of others."""
    errors = error.errors()
    first = errors[0]
    location = [str(part) for part in first["loc"]]
    key = ".".join(location)
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    if first["type"] == "extra_forbidden":
        parent = ".".join(location[:-1])
        allowed = ", ".join(_keys_at(model, location[:-1]))
        where = f"in {parent}" if parent else "at the top level"
        return f"unknown configuration key {key!r}; allowed {where}: {allowed}{more}"
    if first["type"] == "value_error" and isinstance(first["input"], dict):  # keys that do not go together
        return f"configuration section {key!r}: {first['ctx']['error']}{more}"
    reason = str(first["ctx"]["error"]) if first["type"] == "value_error" else first["msg"]
    reason = reason[0].lower() + reason[1:]
    value = HIDDEN if location[-1] in _SECRET else repr(first["input"])
    return f"configuration key {key!r} has the value {value}: {reason}{more}"


def _keys_at(model: type[BaseModel], path: list[str]) -> list[str]:
    for part in path:
        annotation = model.model_fields[part].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return list(model.model_fields)
