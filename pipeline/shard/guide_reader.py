"""What a worker does about the guides of its images: fetched once, at the size that methods take."""

from __future__ import annotations

from collections import OrderedDict

from pipeline.codecs.everyday import Skip
from pipeline.codecs.isolated.image import IsolatedDecoder
from pipeline.config.job import PICTURES
from pipeline.errors import AccessDenied, FailureCode, ImageFailure, ObjectChanged, ObjectMissing
from pipeline.guides.guide import Guide, GuideObject
from pipeline.guides.pictures import F32
from pipeline.ledger.schema import LedgerRow
from pipeline.records import Item, Status
from pipeline.shard.decode import decode_guide
from pipeline.shard.delivery import goes_through_files
from pipeline.shard.guiding import methods_of, shared_picture
from pipeline.shard.job import Job
from pipeline.shard.prepared import Prepared
from pipeline.shard.rows import Rows
from pipeline.storage import Store, open_store

_KEPT = 4  # pictures: a street's photographs share one


def guide_of(item: Item) -> Guide:
    """The item's guide; an empty one where it has none."""
    return Guide.from_json(item.guide) if item.guide is not None else Guide()


class GuideReader:
    """For one thread at a time, like its decoder."""

    def __init__(self, job: Job, rows: Rows, decoder: IsolatedDecoder) -> None:
        self.job = job
        self.rows = rows
        self.decoder = decoder
        self.methods = methods_of(job.config)
        self._stores: dict[str, Store] = {}
        self._pictures: OrderedDict[tuple[str, GuideObject | str], F32] = OrderedDict()

    def refused(self, item: Item) -> LedgerRow | None:
        """The row of an image that lacks a guide its method needs, or cannot be coloured with its own."""
        guide, config = guide_of(item), self.job.config
        if (said := self.methods.lacking(guide.method or config.model.method, guide.given)) is not None:
            skip = Skip(Status.SKIPPED_OTHER, f"{said}, and this image has no such guide")
            return self.rows.skipped(item, skip)
        if guide.has_hints and goes_through_files(item, config):
            message = (
                "its scribbles and points cannot be spread over a picture that is coloured in strips; "
                "colour it apart with a higher limits.stream_bytes"
            )
            return self.rows.failed(item, FailureCode.GUIDE_INVALID, message)
        return None

    def add(self, prepared: Prepared) -> Prepared:
        """Fetch what the image is guided by; a guide that cannot be had makes a failed row."""
        guide = guide_of(prepared.item)
        try:
            if guide.has_hints and prepared.further_L:
                message = "scribbles and points are for one picture, and it has several pages"
                raise ImageFailure(FailureCode.GUIDE_INVALID, message)
            prepared.pictures = self._all_pictures(guide)
            if guide.scribbles is not None:
                prepared.scribbles = self._fetch("scribbles", guide.scribbles)
        except ImageFailure as failure:
            return Prepared(prepared.item, row=self.rows.of_error(prepared.item, failure))
        return prepared

    def _all_pictures(self, guide: Guide) -> dict[str, F32]:
        """The image's own, and where its method is the job's own those of the whole job."""
        own, model = guide.objects(), self.job.config.model
        shared = {kind: uri for kind in PICTURES if guide.method is None and (uri := getattr(model, kind))}
        given: dict[str, GuideObject | str] = {**shared, **own}
        return {kind: self._picture(kind, given[kind]) for kind in PICTURES if kind in given}

    def _picture(self, kind: str, named: GuideObject | str) -> F32:
        """As its method takes it; `named`: a URI where the whole job has it."""
        key, config = (kind, named), self.job.config
        if key not in self._pictures:
            if isinstance(named, str):
                name, data = named, shared_picture(named, config.storage)
            else:
                name, data = named.name, self._fetch(kind, named)
            self._pictures[key] = decode_guide(self.decoder, kind, name, data, config)
            if len(self._pictures) > _KEPT:
                self._pictures.popitem(last=False)
        self._pictures.move_to_end(key)
        return self._pictures[key]

    def _fetch(self, kind: str, named: GuideObject) -> bytes:
        if named.folder not in self._stores:
            self._stores[named.folder] = open_store(named.folder, self.job.config.storage)
        most = self.job.config.limits.memory // 2
        said = f"its {kind} {named.name!r}"
        try:
            found = self._stores[named.folder].get(named.key, if_etag=named.etag, max_bytes=most + 1)
        except ObjectMissing:
            raise ImageFailure(FailureCode.SOURCE_MISSING, f"{said}: gone since the plan was made") from None
        except ObjectChanged:
            raise ImageFailure(
                FailureCode.SOURCE_CHANGED, f"{said}: changed since the plan was made; run again"
            ) from None
        except AccessDenied as error:
            raise ImageFailure(FailureCode.SOURCE_DENIED, f"{said}: {error}") from None
        if len(found.data) > most:
            raise ImageFailure(FailureCode.TOO_LARGE, f"{said}: more bytes than half of limits.memory")
        return found.data
