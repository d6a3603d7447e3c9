"""The newest finished colouring run of an output: where it read, and with which settings it coloured."""

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
    """`input`: where it read."""

    run_id: str
    input: str


def last_run(out: Store) -> LastRun | None:
    """The newest run with a summary and its settings; run ids sort by time. None: there is none.

    Raises:
        ConfigError: its summary is damaged. An earlier run may have coloured in another way, so that none is
            taken in its place. StorageError: OUT cannot be read.
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
    """The settings with which a run coloured; `local` says how storage is reached and who is notified.

    The run's own webhook was not kept, for its address may be a secret.

    Raises:
        ConfigError: what the run kept cannot be read. StorageError: it is not there.
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
