"""The newest finished colouring run of an output: its input and its settings."""

from __future__ import annotations

import json
from dataclasses import dataclass

import yaml

from pipeline.cli.run_id import COLORING_RUN_ID
from pipeline.config.job import JobConfig
from pipeline.config.loading import parse
from pipeline.errors import ConfigError
from pipeline.ledger.keys import RUNS, config_key, run_id_of, summary_key
from pipeline.storage import Store


@dataclass(frozen=True)
class LastRun:
    """`input`: where the run read its sources."""

    run_id: str
    input: str


def last_run(out: Store) -> LastRun | None:
    """The newest run with a summary and settings (run ids sort by time), or None.

    Raises:
        ConfigError: its summary is damaged. No earlier run is used instead, because it may have had other
            settings. StorageError: OUT cannot be read.
    """
    listed = {info.key for info in out.list(RUNS)}
    run_ids = {run_id for key in listed if (run_id := run_id_of(key)) and COLORING_RUN_ID.fullmatch(run_id)}
    finished = [one for one in run_ids if {summary_key(one), config_key(one)} <= listed]
    if not finished:
        return None
    newest = max(finished)
    try:
        return LastRun(newest, str(json.loads(out.get(summary_key(newest)).data)["input"]))
    except (ValueError, KeyError, TypeError):
        raise _damaged(out, summary_key(newest)) from None


def settings_of(out: Store, run_id: str, local: JobConfig) -> JobConfig:
    """The settings of a run, except how to reach storage and whom to notify, which come from `local`.

    The run's own webhook was not saved, because its address may be a secret.

    Raises:
        ConfigError: the saved settings cannot be read. StorageError: they do not exist.
    """
    try:
        kept = dict(yaml.safe_load(out.get(config_key(run_id)).data))
    except (ValueError, TypeError, yaml.YAMLError):
        raise _damaged(out, config_key(run_id)) from None
    others = {name: value for name, value in kept.items() if name not in ("storage", "notify")}
    return parse(JobConfig, others).model_copy(update={"storage": local.storage, "notify": local.notify})


def _damaged(out: Store, key: str) -> ConfigError:
    return ConfigError(
        f"{out.uri}/{key} is damaged: restore it from a backup, or run fiat-color colorize as before"
    )
