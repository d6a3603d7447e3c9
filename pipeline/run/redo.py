"""Colour again what people decided about, with the settings of the last run of that output."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from pipeline.cli.run_id import COLORING_RUN_ID
from pipeline.config.job import JobConfig
from pipeline.config.loading import parse
from pipeline.errors import EXIT_DONE, ConfigError
from pipeline.ledger.keys import RUNS, config_key, run_id_of, summary_key
from pipeline.ledger.read import list_parts, stream_parts
from pipeline.review.decisions import Decision, read_decisions
from pipeline.run.colorize import ColorizeRequest, run_to_its_end
from pipeline.run.notify import Outcome
from pipeline.storage import Store, open_store

_GUIDES = ("correct", "gray")


class LastRun(NamedTuple):
    """The newest finished run below OUT: where it read, and the mapping in its config.yaml."""

    input: str
    settings: dict[str, Any]


def redo_decided(output: str, config: JobConfig, input: str | None = None) -> Outcome:
    """Colour again exactly the images that corrections, wishes for gray or their undoing change.

    It is a run like every other, of those keys alone: it takes the lease of the output, and an image that is
    as people want it already is not done again.

    Args:
        config: how storage is reached and who is notified; all else is as in the last run.
        input: where the sources are; None: where the last run read them.

    Raises:
        ConfigError: no finished run says how it coloured. FiatColorError: as a run.
    """
    out = open_store(output, config.storage)
    keys = _known(out, redone_keys(read_decisions(out)))
    if not keys:
        return Outcome(EXIT_DONE, "no correction, and none taken back")
    last = last_run(out)
    request = ColorizeRequest(input or last.input, output, _config(last.settings, keys, config))
    return run_to_its_end(request)


def redone_keys(decisions: Iterable[Decision]) -> set[str]:
    """Source keys whose result a decision may change: corrections, gray, and rejections taken back."""
    decisions = list(decisions)
    undone = {one.undoes for one in decisions}
    rejections = {one.key for one in decisions if one.verdict == "reject" and one.id in undone}
    return rejections | {one.key for one in decisions if one.verdict in _GUIDES}


def last_run(out: Store) -> LastRun:
    """The newest finished colouring run. Raises ConfigError where there is none, or its settings are gone."""
    listed = {info.key for info in out.list(RUNS)}
    run_ids = {run_id for key in listed if (run_id := run_id_of(key)) and COLORING_RUN_ID.fullmatch(run_id)}
    finished = sorted(one for one in run_ids if {summary_key(one), config_key(one)} <= listed)
    if not finished:
        raise ConfigError(f"no finished run below {out.uri}/runs says how to colour: run fiat-color colorize")
    try:
        summary = json.loads(out.get(summary_key(finished[-1])).data)
        settings = yaml.safe_load(out.get(config_key(finished[-1])).data)
        return LastRun(str(summary["input"]), dict(settings))
    except (ValueError, KeyError, TypeError, yaml.YAMLError):
        raise ConfigError(
            f"{out.uri}/{config_key(finished[-1])} is damaged: run fiat-color colorize as before"
        ) from None


def _known(out: Store, keys: Iterable[str]) -> tuple[str, ...]:
    """Those of the keys that the ledger has: a decision may name anything."""
    wanted = pa.array(sorted(keys), pa.string())
    if not len(wanted):
        return ()
    tables = stream_parts(out, list_parts(out), ("key",))
    known = [table["key"].filter(pc.is_in(table["key"], value_set=wanted)).unique() for table in tables]
    return tuple(sorted({key for array in known for key in array.to_pylist()}))


def _config(settings: dict[str, Any], keys: tuple[str, ...], config: JobConfig) -> JobConfig:
    """The last run's settings for these keys. Its webhook was not kept, for the address may be a secret."""
    plan = dict(settings.get("plan") or {})
    recolor = plan.get("recolor")
    plan |= {"keys": list(keys), "limit": None, "strict": False, "drop_guides": False}
    plan["recolor"] = "changed-model" if recolor == "accepted" else recolor
    kept = {name: value for name, value in settings.items() if name not in ("storage", "notify")}
    last = parse(JobConfig, kept | {"plan": plan})
    return last.model_copy(update={"storage": config.storage, "notify": config.notify})
