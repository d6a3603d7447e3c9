"""List the objects that a run colours: all or chosen keys, without those that patterns leave out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.config.job import PlanConfig
from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError, StorageError
from pipeline.plan.decisions import ImageCorrection
from pipeline.plan.guide_types import Guidance, GuideSource
from pipeline.plan.inventory import inventory_objects
from pipeline.plan.key_selection import Choice
from pipeline.plan.objects import Objects
from pipeline.storage import ObjectInfo, Store, open_store

#: Up to this many keys are listed one by one, which avoids listing everything next to them.
_FEW = 100


@dataclass(frozen=True)
class Listing:
    """`objects` in key order, how many are `excluded`, and the guides of the objects.

    warnings: on patterns and keys that match nothing, on patterns that leave out every image, and on
    corrections that do not count.
    """

    objects: Objects
    excluded: int
    guidance: Guidance
    warnings: tuple[str, ...] = ()


def list_objects(
    source: Store,
    config: PlanConfig,
    storage: StorageConfig,
    guides: GuideSource | None,
    corrections: Mapping[str, Sequence[ImageCorrection]] | None = None,
) -> Listing:
    """List what to colour.

    Args:
        corrections: of people, as `DecisionIndex` has them.

    Raises:
        ConfigError: some guides do not fit; there is no file of keys; the inventory cannot be used; with
            `plan.strict` where there is something to warn of. StorageError: the source cannot be listed.
    """
    chosen = chosen_keys(config.keys, storage)
    listed: Iterable[ObjectInfo]
    if config.inventory is not None:
        listed = inventory_objects(config.inventory, source, storage)
    else:
        listed = source.list() if chosen is None else _beside(source, chosen)
    objects, excluded, warnings = choose(listed if guides is None else guides.watch(listed), config, chosen)
    guidance = Guidance() if guides is None else guides.resolve(objects, corrections or {})
    if guidance.sidecars:
        objects = objects.where(lambda key: key not in guidance.sidecars)
    return Listing(objects, excluded, guidance, (*warnings, *guidance.warnings))


def choose(
    listed: Iterable[ObjectInfo], config: PlanConfig, chosen: frozenset[str] | None
) -> tuple[Objects, int, tuple[str, ...]]:
    """Select from a listing by keys and patterns. Count what they leave out; warn if one matches nothing.

    Args:
        chosen: as of `chosen_keys`.

    Raises:
        ConfigError: with `plan.strict`, where a pattern or key matches nothing.
    """
    choice = Choice(config, chosen)
    objects = Objects.of(choice.keep(listed))
    warnings = tuple(choice.warnings())
    if config.strict and warnings:
        raise ConfigError(f"{warnings[0]} (plan.strict is set)")
    return objects, choice.excluded, warnings


def chosen_keys(keys: str | tuple[str, ...] | None, storage: StorageConfig) -> frozenset[str] | None:
    """The keys of `plan.keys`; None if it is not set. In a file, each line is a key; empty lines are ignored.

    Raises:
        ConfigError: there is no such file, it is not UTF-8 or holds no key.
    """
    if not isinstance(keys, str):
        return None if keys is None else frozenset(keys)
    folder, _, name = keys.rpartition("/")
    try:
        data = open_store(folder or ("/" if keys.startswith("/") else "."), storage).get(name).data
        lines = data.decode().removeprefix("\ufeff").split("\n")
    except StorageError as error:
        raise ConfigError(f"cannot read the keys in {keys}: {error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"the keys in {keys} are not UTF-8 text; write one key per line") from None
    chosen = frozenset(key for line in lines if (key := line.removesuffix("\r")))
    if not chosen:
        raise ConfigError(f"{keys} holds no keys; write one per line")
    return chosen


def _beside(source: Store, chosen: frozenset[str]) -> Iterable[ObjectInfo]:
    """A listing with the chosen keys and their possible sidecars: NAME.png and NAME.scribbles.png."""
    if len(chosen) > _FEW:
        return source.list()
    starts = {re.sub(r"\.[^./]*$", ".", key) for key in chosen}
    by_key = {info.key: info for start in starts for info in source.list(start)}
    return [by_key[key] for key in sorted(by_key)]
