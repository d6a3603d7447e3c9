"""All guides of a job, from its file and from sidecars: checked against the source before any work starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pipeline.config.job import JobConfig
from pipeline.errors import ConfigError
from pipeline.guides.guide import OBJECT_KINDS, Guide, GuideObject, Point
from pipeline.guides.guide_file import Row, Table, read_table
from pipeline.guides.methods import Methods
from pipeline.guides.objects import Named, Names, ObjectHead, Sizes, misfit, outside, read_head
from pipeline.guides.picture_sizes import upright_sizes
from pipeline.guides.sidecars import Sidecars
from pipeline.plan.guidance import Guidance, ItemGuide
from pipeline.storage import ObjectInfo, Store

_THREADS = 16
_SHOWN = 4  # problems in the message: it is one line


@dataclass
class _Stated:
    """What the row and the sidecars of one image state."""

    source: ObjectInfo
    where: str
    points: tuple[Point, ...] = ()
    method: str | None = None
    objects: dict[str, Named] = field(default_factory=dict)

    @property
    def given(self) -> frozenset[str]:
        return frozenset(self.objects) | ({"scribbles"} if self.points else frozenset())


class Guides:
    """The `plan.guidance.GuideSource` of a job."""

    def __init__(self, source: Store, config: JobConfig, methods: Methods) -> None:
        """Reads the guides file. Raises as `table.read_table`."""
        self.source = source
        self.config = config
        self.methods = methods
        file = config.guides.file
        self.table: Table | None = read_table(file, config.storage) if file is not None else None
        self.sidecars = Sidecars()
        self._rows: Mapping[str, Row] = self.table.rows if self.table else {}
        self._unseen = set(self._rows)
        self._problems: list[str] = list(self.table.problems) if self.table else []

    def watch(self, listed: Iterable[ObjectInfo]) -> Iterator[ObjectInfo]:
        """The same objects. They must hold every key of the file, and may be sidecars."""
        for each in self.sidecars.watch(listed) if self.config.guides.sidecars else listed:
            if self._unseen:
                self._unseen.discard(each.key)
            yield each

    def resolve(self, kept: Sequence[ObjectInfo]) -> Guidance:
        """The guides of the objects that the patterns keep, checked.

        Raises:
            ConfigError: how many problems there are, and the first few of them.
            StorageError: the store fails.
        """
        assigned = self.sidecars.assign(kept)
        used = frozenset(each.key for kinds in assigned.values() for each in kinds.values())
        for key in sorted(self._unseen):
            self._problem(self._rows[key].where, f"the key {key!r} is not in {self.source.uri}")
        stated = [
            self._stated_for(o, assigned.get(o.key, {}))
            for o in kept
            if o.key in self._rows or o.key in assigned
        ]
        guides = self._checked([one for one in stated if one.source.key not in used])
        if self._problems:
            shown = "; ".join(self._problems[:_SHOWN])
            more = len(self._problems) - _SHOWN
            count = f"{len(self._problems):,} problem{'s' if len(self._problems) > 1 else ''}"
            raise ConfigError(
                f"{count} with the guides: {shown}" + (f"; and {more} more" if more > 0 else "")
            )
        guided = {key: ItemGuide(guide.to_json(), guide.digest()) for key, guide in guides.items()}
        return Guidance(guided, used, tuple(_plan_lines(guides, used, self.sidecars.orphans(used))))

    def _problem(self, where: str, message: str) -> None:
        self._problems.append(f"{where}: {message}")

    def _stated_for(self, source: ObjectInfo, sidecars: dict[str, ObjectInfo]) -> _Stated:
        """What the row states; a sidecar counts where the row has nothing of its kind."""
        row = self._rows.get(source.key)
        where = row.where if row else f"sidecars of {source.key!r}"
        stated = _Stated(source, where, row.points if row else (), row.method if row else None)
        for kind, sidecar in sidecars.items():
            stated.objects[kind] = Named(f"sidecar {sidecar.key!r}", sidecar.key, self.source, sidecar.key)
        if row and self.table:
            names = Names(self.table.folder, self.config.storage)
            for kind in OBJECT_KINDS:
                if (name := getattr(row, kind)) is not None:
                    try:
                        stated.objects[kind] = names.find(where, name)
                    except ConfigError as error:
                        self._problem(where, f"{kind}: {error}")
        return stated

    def _checked(self, stated: list[_Stated]) -> dict[str, Guide]:
        """The guides by source key; problems are noted. Heads and sizes are read in parallel."""
        hinted = [one for one in stated if "scribbles" in one.given]
        objects = {(n.store.uri, n.key): n for one in stated for n in one.objects.values()}
        with ThreadPoolExecutor(_THREADS) as pool:
            sizes_of = dict(
                zip([one.source.key for one in hinted], pool.map(self._sizes, hinted), strict=True)
            )
            heads = dict(zip(objects, pool.map(read_head, objects.values()), strict=True))
        weights = cache(self.methods.weights)
        guides = {}
        for one in stated:
            sizes = sizes_of.get(one.source.key, set())
            for message in outside(one.points, sizes):
                self._problem(one.where, message)
            objects_given: dict[str, Any] = dict(self._objects(one, heads, sizes))
            try:
                method = self.methods.choose(one.method, one.given)
            except ValueError as error:
                self._problem(one.where, str(error))
                continue
            other = method if method != self.methods.job else None
            guide = Guide(
                points=one.points,
                method=other,
                weights=weights(other) if other else None,
                side=self.config.guides.side if "scribbles" in one.given else 0,
                **objects_given,
            )
            if guide.kinds or guide.method:
                guides[one.source.key] = guide
        return guides

    def _sizes(self, one: _Stated) -> Sizes:
        return upright_sizes(self.source, one.source.key, one.source.etag, one.source.bytes)

    def _objects(
        self, one: _Stated, heads: Mapping[tuple[str, str], ObjectHead | str], sizes: Sizes
    ) -> dict[str, GuideObject]:
        guide_objects = {}
        for kind, named in one.objects.items():
            outcome = heads[named.store.uri, named.key]
            if isinstance(outcome, str):
                self._problem(named.where, f"{kind}: {outcome}")
                continue
            if (message := misfit(kind, named.name, outcome.head, sizes)) is not None:
                self._problem(named.where, message)
            guide_objects[kind] = GuideObject(named.name, named.store.uri, named.key, outcome.etag)
        return guide_objects


def _plan_lines(guides: Mapping[str, Guide], used: frozenset[str], orphans: list[str]) -> Iterator[str]:
    """Lines of the plan that the job prints."""
    if guides:
        kinds = Counter(kind for guide in guides.values() for kind in guide.kinds or ("method alone",))
        each = ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items()))
        yield f"guides   {len(guides):,} images: {each}" + (f" ({len(used):,} sidecars)" if used else "")
    if orphans:
        more = f" and {len(orphans) - 1:,} more" if len(orphans) > 1 else ""
        yield (
            f"note     {orphans[0]!r}{more} named like sidecars, but there is no photograph of that name: "
            "taken for photographs"
        )
