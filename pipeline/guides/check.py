"""All guides of a job, from decisions, guides file and sidecars, checked before any work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from pipeline.cli.counts import counted
from pipeline.config.job import JobConfig
from pipeline.errors import ConfigError
from pipeline.guides.corrections import corrected, counting, does_not_count
from pipeline.guides.fitting import GuideChecker
from pipeline.guides.guide import OBJECT_KINDS, Guide
from pipeline.guides.guide_file import Row, Table, read_table
from pipeline.guides.methods import Methods
from pipeline.guides.objects import Names, ObjectReference, Sizes, read_head
from pipeline.guides.picture_folder import Lent, lend_pictures
from pipeline.guides.picture_sizes import upright_sizes
from pipeline.guides.sidecars import Sidecars
from pipeline.guides.stated import UncheckedGuides
from pipeline.plan.decisions import ImageCorrection
from pipeline.plan.guide_types import Guidance, ItemGuide
from pipeline.plan.listing import chosen_keys
from pipeline.storage import ObjectInfo, Store

_THREADS = 16
_SHOWN = 4  # problems to show: the message is one line


class Guides:
    """The `plan.guide_types.GuideSource` of a job."""

    def __init__(self, source: Store, config: JobConfig, methods: Methods, out: Store | None = None) -> None:
        """Reads the guides file. Raises as `table.read_table`.

        Args:
            out: where results are; None: corrections do not count.
        """
        self.source = source
        self.config = config
        self.methods = methods
        self.out = out
        file = config.guides.file
        self.table: Table | None = read_table(file, config.storage) if file is not None else None
        self.sidecars = Sidecars()
        self._rows: Mapping[str, Row] = self.table.rows if self.table else {}
        self._unseen = set(self._rows)

    def watch(self, listed: Iterable[ObjectInfo]) -> Iterator[ObjectInfo]:
        """Pass on the same objects. They must include every key of the guides file, and may be sidecars."""
        for each in self.sidecars.watch(listed) if self.config.guides.sidecars else listed:
            if self._unseen:
                self._unseen.discard(each.key)
            yield each

    def resolve(
        self, kept: Sequence[ObjectInfo], corrections: Mapping[str, Sequence[ImageCorrection]]
    ) -> Guidance:
        """The guides of the objects that the patterns keep, checked.

        A correction that does not fit causes only a warning, because decisions cannot be changed; the image
        is guided as if there were no correction.

        Raises:
            ConfigError: there are problems with the file or sidecars; names their number and the first few.
            StorageError: the store fails.
        """
        assigned = self.sidecars.assign(kept)
        used = frozenset(each.key for kinds in assigned.values() for each in kinds.values())
        problems = list(self.table.problems) if self.table else []
        problems += [
            f"{self._rows[key].where}: the key {key!r} is not in {self.source.uri}"
            for key in sorted(self._unseen & self._chosen())
        ]
        by_people, warnings = counting(kept, corrections)
        named = (self._rows.keys() | assigned.keys() | by_people.keys()) - used
        stated = [
            self._stated_for(o, assigned.get(o.key, {}), problems)
            for o in (kept if named else ())
            if o.key in named
        ]
        checked = self._checked(stated, by_people)
        problems += checked.problems
        if problems:
            shown = "; ".join(problems[:_SHOWN])
            more = len(problems) - _SHOWN
            count = f"{len(problems):,} problem{'s' if len(problems) > 1 else ''}"
            raise ConfigError(
                f"{count} with the guides: {shown}" + (f"; and {more} more" if more > 0 else "")
            )
        lent = self._lent((one for one in kept if one.key not in used), checked, by_people)
        guides = lent.guides
        guided = {key: ItemGuide(guide.to_json(), guide.digest()) for key, guide in guides.items()}
        lines = [*_plan_lines(guides, used, self.sidecars.orphans(used), len(checked.corrected))]
        lines += lent.notices
        warnings += checked.warnings
        return Guidance(guided, used, tuple(lines), checked.corrected, tuple(warnings), lent.refused)

    def _lent(
        self, images: Iterable[ObjectInfo], checked: _Checked, by_people: Mapping[str, ImageCorrection]
    ) -> Lent:
        """The guides with the pictures of `model.pictures`, unless the user names another method."""
        if self.config.model.pictures is None:
            return Lent(checked.guides, {}, ())
        stated = {key for key, row in self._rows.items() if row.method is not None}
        for key in checked.corrected:
            correction = by_people[key].correction
            if correction is None or correction.method is not None:
                stated.add(key)
        return lend_pictures(self.source, images, checked.guides, stated, self.config, self.methods)

    def _chosen(self) -> frozenset[str]:
        """The keys of the file that a run with chosen keys must find in the listing."""
        keys = chosen_keys(self.config.plan.keys, self.config.storage)
        return frozenset(self._rows) if keys is None else keys & frozenset(self._rows)

    def _stated_for(
        self, source: ObjectInfo, sidecars: dict[str, ObjectInfo], problems: list[str]
    ) -> UncheckedGuides:
        """What the row and sidecars state; a sidecar counts if the row has nothing of its kind."""
        row = self._rows.get(source.key)
        where = row.where if row else f"sidecars of {source.key!r}"
        objects = {
            kind: ObjectReference(f"sidecar {sidecar.key!r}", sidecar.key, self.source, sidecar.key)
            for kind, sidecar in sidecars.items()
        }
        if row and self.table:
            names = Names(self.table.folder, self.config.storage)
            for kind in OBJECT_KINDS:
                if (name := getattr(row, kind)) is not None:
                    try:
                        objects[kind] = names.find(where, name)
                    except ConfigError as error:
                        problems.append(f"{where}: {kind}: {error}")
        return UncheckedGuides(source, where, row.points if row else (), row.method if row else None, objects)

    def _checked(self, stated: list[UncheckedGuides], by_people: Mapping[str, ImageCorrection]) -> _Checked:
        """The guides by source key. Heads and sizes are read in parallel."""
        with_corrections = {
            one.source.key: corrected(one, by_people[one.source.key], self.out, self.methods)
            for one in stated
            if self.out is not None and one.source.key in by_people
        }
        everything = [*stated, *with_corrections.values()]
        hinted = {one.source.key: one for one in everything if one.is_measured}
        objects = {(n.store.uri, n.key): n for one in everything for n in one.objects.values()}
        with ThreadPoolExecutor(_THREADS) as pool:
            sizes_of = dict(zip(hinted, pool.map(self._sizes, hinted.values()), strict=True))
            heads = dict(zip(objects, pool.map(read_head, objects.values()), strict=True))
        fitting = GuideChecker(self.config, self.methods, heads, sizes_of)
        checked = _Checked()
        for one in stated:
            key = one.source.key
            if key in with_corrections:
                guide, problems = fitting.guide(with_corrections[key])
                if not problems:
                    checked.add(key, guide, by_people=True)
                    continue
                problem = problems[0].removeprefix(f"{with_corrections[key].where}: ")
                checked.warnings.append(does_not_count(by_people[key], problem))
            guide, problems = fitting.guide(one)
            checked.problems += problems
            checked.add(key, guide)
        return checked

    def _sizes(self, one: UncheckedGuides) -> Sizes:
        return upright_sizes(self.source, one.source.key, one.source.etag, one.source.bytes)


@dataclass
class _Checked:
    guides: dict[str, Guide] = field(default_factory=dict)
    corrected: frozenset[str] = frozenset()
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, key: str, guide: Guide, by_people: bool = False) -> None:
        if guide.kinds or guide.method:
            self.guides[key] = guide
        if by_people:
            self.corrected |= {key}


def _plan_lines(
    guides: Mapping[str, Guide], used: frozenset[str], orphans: list[str], corrections: int
) -> Iterator[str]:
    """Lines of the plan that the job prints."""
    if guides:
        kinds = Counter(kind for guide in guides.values() for kind in guide.kinds or ("method alone",))
        each = ", ".join(f"{count:,} with {kind}" for kind, count in sorted(kinds.items()))
        also = [counted(len(used), "sidecar")] if used else []
        also += [f"{corrections:,} corrected by people"] if corrections else []
        yield f"guides   {counted(len(guides), 'image')}: {each}" + (f" ({', '.join(also)})" if also else "")
    if orphans:
        more = f" and {len(orphans) - 1:,} more" if len(orphans) > 1 else ""
        yield (
            f"note     {orphans[0]!r}{more} named like sidecars, but no photograph has that name: "
            "treated as photographs"
        )
