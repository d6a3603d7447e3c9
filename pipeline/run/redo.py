"""Colour images again after people's decisions, with the settings of the last run of that output."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.job import JobConfig
from pipeline.errors import EXIT_DONE, ConfigError
from pipeline.ledger.read import list_parts, stream_parts
from pipeline.review.decisions import Decision, read_decisions
from pipeline.review.last_run import last_run, settings_of
from pipeline.run.notify import Outcome
from pipeline.run.start import ColorizeRequest, run_to_its_end
from pipeline.storage import Store, open_store

_GUIDES = ("correct", "gray")


def recolor_decided(output: str, config: JobConfig, input: str | None = None) -> Outcome:
    """Colour again exactly those images whose correction or request for gray is new or was undone.

    This is a normal run of only those keys: it takes the lease of the output, and does not repeat an image
    that already is as people want it.

    Args:
        config: says how to reach storage and whom to notify; all other settings come from the last run.
        input: where the sources are; None: where the last run read them from.

    Raises:
        ConfigError: there is no finished run to take the settings from. FiatColorError: as a run.
    """
    out = open_store(output, config.storage)
    keys = _known(out, redone_keys(read_decisions(out)))
    if not keys:
        return Outcome(EXIT_DONE, "no corrections to apply, and none undone")
    last = last_run(out)
    if last is None:
        raise ConfigError(f"there is no finished run below {out.uri}/runs: run fiat-color colorize first")
    settings = _of_keys(settings_of(out, last.run_id, config), keys)
    request = ColorizeRequest(input or last.input, output, settings)
    return run_to_its_end(request)


def redone_keys(decisions: Iterable[Decision]) -> set[str]:
    """Source keys whose result a decision may change: corrections, gray, and undone rejections."""
    decisions = list(decisions)
    undone = {one.undoes for one in decisions}
    rejections = {one.key for one in decisions if one.verdict == "reject" and one.id in undone}
    return rejections | {one.key for one in decisions if one.verdict in _GUIDES}


def _known(out: Store, keys: Iterable[str]) -> tuple[str, ...]:
    """The keys that the ledger has, because a decision may name any key."""
    wanted = pa.array(sorted(keys), pa.string())
    if not len(wanted):
        return ()
    tables = stream_parts(out, list_parts(out), ("key",))
    known = [table["key"].filter(pc.is_in(table["key"], value_set=wanted)).unique() for table in tables]
    return tuple(sorted({key for array in known for key in array.to_pylist()}))


def _of_keys(last: JobConfig, keys: tuple[str, ...]) -> JobConfig:
    """The last run's settings for these keys."""
    recolor = "changed-model" if last.plan.recolor == "accepted" else last.plan.recolor
    others = {"limit": None, "strict": False, "drop_guides": False, "recolor": recolor}
    return last.model_copy(update={"plan": last.plan.model_copy(update={"keys": keys, **others})})
