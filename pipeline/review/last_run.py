"""What the newest finished colouring run of an output says of itself."""

from __future__ import annotations

import json
from dataclasses import dataclass

import yaml

from pipeline.config.job import JobConfig
from pipeline.config.loading import parse
from pipeline.errors import ConfigError
from pipeline.ledger.keys import RUNS, SUMMARY, config_key, run_id_of
from pipeline.storage import Store


@dataclass(frozen=True)
class LastRun:
    """`input`: where it read."""

    run_id: str
    input: str


def last_run(out: Store) -> LastRun | None:
    """The newest run with a summary; run ids sort by time. None: there is none. Raises StorageError."""
    keys = [info.key for info in out.list(RUNS) if info.key.endswith(f"/{SUMMARY}")]
    for key in sorted(keys, reverse=True):
        try:
            summary = json.loads(out.get(key).data)
        except ValueError:
            continue  # no summary of ours
        if isinstance(summary, dict) and "job_digest" in summary and isinstance(summary.get("input"), str):
            return LastRun(str(run_id_of(key)), summary["input"])
    return None


def settings_of(out: Store, run_id: str, local: JobConfig) -> JobConfig:
    """The settings with which a run coloured; how storage is reached is said by `local`.

    Raises:
        ConfigError: what the run kept cannot be read. StorageError: it is not there.
    """
    data = out.get(config_key(run_id)).data
    try:
        kept = yaml.safe_load(data)
    except yaml.YAMLError:
        kept = None
    if not isinstance(kept, dict):
        raise ConfigError(f"{out.uri}/{config_key(run_id)} holds no settings: restore it from a backup")
    kept.pop("notify", None)  # a secret may have been left out of it
    kept["storage"] = local.storage.model_dump(mode="json")
    return parse(JobConfig, kept)
