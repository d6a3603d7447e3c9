"""Checks the commands that pages and comments show with the parser and configuration of the job itself."""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import re
import shlex
from collections.abc import Iterator
from functools import cache
from typing import Any
from unittest.mock import patch

from pydantic import BaseModel

from pipeline.cli.command import JobParser
from pipeline.commands.program import COMMANDS
from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.errors import ConfigError
from pipeline.evaluate.doubt_settings import DoubtConfig
from pipeline.evaluate.settings import EvaluateConfig
from pipeline.models.method_list import NETWORKS
from pipeline.photographs.settings import PrepareConfig
from pipeline.retraining.champion import RetrainConfig
from pipeline.retraining.settings import PromoteConfig
from pipeline.training.settings import NetworkConfig, TrainConfig
from tests.support.paths import REPO

CONFIGS: tuple[type[BaseModel], ...] = (
    JobConfig,
    EvaluateConfig,
    DoubtConfig,
    PrepareConfig,
    TrainConfig,
    PromoteConfig,
    RetrainConfig,
)
OPTIONS = {option for network in NETWORKS.values() for option in network.options}
"""Keys of the section `model` of a training configuration that belong to the methods."""

JOB_COMMAND = re.compile(
    r"(?:python|\.venv/bin/python|\$\(PY\)|\$PY) jobs/(?P<job>\w+)\.py"
    r"|(?<![\w/.-])(?<!-n )fiat-color (?P<command>[a-z][\w-]*)"
)


class _Parser(Exception):
    """Carries a job's complete parser out of its `parse` before it has read anything."""

    def __init__(self, parser: JobParser) -> None:
        self.parser = parser


class _Refused(Exception):
    """A parser's error message about a command line."""


def _hand_over(self: JobParser, *_: Any, **__: Any) -> None:
    raise _Parser(self)


def _refuse(self: JobParser, message: str) -> None:
    raise _Refused(message)


def jobs() -> list[str]:
    """The names of the scripts in `jobs/`."""
    return sorted(path.stem for path in (REPO / "jobs").glob("*.py"))


def parser_of(job: str) -> JobParser:
    """The job's own parser, as its module builds it."""
    return _parser_in(_module_of_job(job))


def _module_of_job(job: str) -> str:
    """The name of the module whose `main` a job calls."""
    return str(importlib.import_module(f"jobs.{job}").main.__module__)


def _parser_in(name: str) -> JobParser:
    module = importlib.import_module(name)
    with patch.object(JobParser, "parse_args", _hand_over):
        try:
            getattr(module, "parse", module.main)([])
        except _Parser as found:
            return found.parser
    raise AssertionError(f"{name} does not read its command line with JobParser")


@cache
def options() -> frozenset[str]:
    """Every option of every job."""
    return frozenset(
        option for job in jobs() for action in parser_of(job)._actions for option in action.option_strings
    )


@cache
def configs_of(name: str) -> tuple[type[BaseModel], ...]:
    """The configuration models that a module passes to `load`, directly or through one of its own functions;
    all models if it leaves this to other modules.

    Leaves out models of only a part, which a command uses to find mistakes before it imports torch: they
    accept what the whole model refuses.
    """
    tree = ast.parse(inspect.getsource(importlib.import_module(name)))
    modules = {
        alias.name: node.module or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    handed = {
        argument.id
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
        if call.func.id in ("load", "configuration")
        for argument in call.args
        if isinstance(argument, ast.Name) and argument.id.endswith("Config")
    }
    models = (getattr(importlib.import_module(modules[model]), model) for model in sorted(handed))
    return tuple(models) or CONFIGS


def problem(command: str, *, whole: bool) -> str | None:
    """What is wrong with `python jobs/NAME.py ...` or `fiat-color NAME ...`; None if nothing is wrong.

    whole: a complete line to type; otherwise required options may be missing, as in the middle of a
    sentence.
    """
    result = JOB_COMMAND.search(command)
    assert result
    job, name = result["job"], result["command"]
    if (job or "").isupper():
        return None
    if job is not None and job not in jobs():
        return f"there is no jobs/{job}.py"
    if name is not None and name not in COMMANDS:
        return f"fiat-color has no command {name}"
    module = _module_of_job(job) if job else f"pipeline.commands.{name.replace('-', '_')}"
    words = list(_until_the_shell(_words(command[result.end() :])))
    if "--help" in words:
        return None
    parser = _parser_in(module)
    if not whole:
        for action in parser._actions:
            action.required = False
        if parser.places is not None:
            parser.places.required = ()
        for group in parser._mutually_exclusive_groups:
            group.required = False
    try:
        with patch.object(JobParser, "error", _refuse):
            args = argparse.ArgumentParser.parse_args(parser, words)
    except _Refused as refused:
        return str(refused)
    models = configs_of(module)
    problems = (setting_problem(setting, models) for setting in _settings(parser, args))
    return next(filter(None, problems), None)


def _words(arguments: str) -> list[str]:
    try:
        return shlex.split(arguments)
    except ValueError:  # its last quotation mark closes one that began before the command
        return shlex.split(arguments.rpartition("'")[0])


def _until_the_shell(words: list[str]) -> Iterator[str]:
    for word in words:
        if word in ("|", ">", "&&", ";", "...", "#"):
            return
        yield word


def _settings(parser: JobParser, args: argparse.Namespace) -> list[str]:
    (action,) = [action for action in parser._actions if "--set" in action.option_strings]
    return list(getattr(args, action.dest))


def setting_problem(setting: str, models: tuple[type[BaseModel], ...] = CONFIGS) -> str | None:
    """What is wrong with `section.key=value` for all of the models; None if one of them accepts it.

    A value in capitals is a placeholder for the reader's own value: then only the key must exist.
    """
    key, _, value = setting.partition("=")
    if key == "section.key" or key.endswith((".KEY", "...")):
        return None
    if value.isupper() or "..." in value:
        return None if any(has_key(model, key) for model in models) else f"no configuration has the key {key}"
    told = f"no configuration of it has the key {key}"
    for model in (model for model in models if has_key(model, key)):
        try:
            load(model, None, [setting])
        except ConfigError as error:
            told = str(error)
            if not told.startswith("configuration section"):  # of keys that only go together
                continue
        return None
    return told


def has_key(model: type[BaseModel], dotted: str) -> bool:
    """Whether the model has the key `section.key`, at any depth."""
    for part in dotted.split("."):
        if model is NetworkConfig and part in OPTIONS:
            return True
        if part not in model.model_fields:
            return False
        annotation = model.model_fields[part].annotation
        model = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else _Leaf
    return True


def is_key(dotted: str) -> bool:
    """Whether it is a key of some configuration, with its full path or from one of its sections."""
    below = [dotted, *(f"{section}.{dotted}" for section in sections())]
    return dotted == "section.key" or any(has_key(model, key) for model in CONFIGS for key in below)


class _Leaf(BaseModel):
    """A key without keys below it."""


def sections() -> frozenset[str]:
    """The names of all sections of all configurations."""
    return frozenset(name for model in CONFIGS for name in model.model_fields)
