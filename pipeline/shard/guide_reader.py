"""Read the guides of a worker's images: fetch each once, and scale it to the size that methods take."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import NamedTuple

from pipeline.codecs.in_memory import Skip
from pipeline.codecs.isolated.image import IsolatedDecoder
from pipeline.config.job import PICTURES
from pipeline.errors import (
    AccessDenied,
    FailureCode,
    ImageFailure,
    ObjectChanged,
    ObjectDamaged,
    ObjectMissing,
)
from pipeline.guides.guide import Guide, GuideObject
from pipeline.guides.pictures import F32
from pipeline.records import Status
from pipeline.shard.decode import decode_guide
from pipeline.shard.job import Job, SourceImage
from pipeline.shard.masters import is_streamed
from pipeline.shard.open_guides import methods_of, shared_picture
from pipeline.storage import Store, open_store

_KEPT = 4  # cached pictures: e.g. photographs of one street share a picture


class Read(NamedTuple):
    """Pictures by kind, as methods take them; the scribbles as an encoded PNG; the SHA-256 of the picture
    whose chroma is taken."""

    pictures: dict[str, F32]
    scribbles: bytes | None
    picture_sha256: str | None


class GuideReader:
    """For one thread at a time, like its decoder."""

    def __init__(self, job: Job, decoder: IsolatedDecoder) -> None:
        self.job = job
        self.decoder = decoder
        self.methods = methods_of(job.config)
        self._stores: dict[str, Store] = {}
        self._pictures: OrderedDict[tuple[str, GuideObject | str], F32] = OrderedDict()

    def missing(self, image: SourceImage) -> Skip | None:
        """Why the image is skipped, if its method needs a guide that it does not have; else None.

        Raises:
            ImageFailure: GUIDE_INVALID where its hints cannot be spread.
        """
        if (lacking := self.methods.lacking(image.method, image.guide.given)) is not None:
            place = self.job.config.model.pictures
            where = "this image has none" if place is None else f"{place} has none with its name"
            return Skip(Status.SKIPPED_OTHER, f"{lacking}, and {where}")
        if image.guide.has_hints and is_streamed(image.item, self.job.config):
            raise ImageFailure(
                FailureCode.GUIDE_INVALID,
                "scribbles, points and strokes do not work with a picture coloured in strips; "
                "colour it separately with a higher limits.stream_bytes",
            )
        return None

    def read(self, image: SourceImage, pages: int) -> Read:
        """Fetch the guides of an image with this many pages.

        Raises:
            ImageFailure: a guide cannot be read, is damaged, or does not work with several pages.
            StorageError: the store fails.
        """
        guide = image.guide
        if guide.has_hints and pages > 1:
            message = "scribbles, points and strokes need a single picture, but it has several pages"
            raise ImageFailure(FailureCode.GUIDE_INVALID, message)
        if guide.picture is not None and pages > 1:
            message = f"its picture {guide.picture.name!r} needs a single picture, but it has {pages} pages"
            raise ImageFailure(FailureCode.GUIDE_INVALID, message)
        pictures, sha256 = self._all_pictures(guide), None
        if guide.picture is not None:
            pictures["picture"], sha256 = self._of_itself(guide.picture)
        scribbles = None if guide.scribbles is None else self._fetch("scribbles", guide.scribbles)
        return Read(pictures, scribbles, sha256)

    def _of_itself(self, named: GuideObject) -> tuple[F32, str]:
        """A picture for only one image, and its SHA-256; it is not cached."""
        data = self._fetch("picture", named)
        picture = decode_guide(self.decoder, "picture", named.name, data, self.job.config)
        return picture, hashlib.sha256(data).hexdigest()

    def _all_pictures(self, guide: Guide) -> dict[str, F32]:
        """The image's own pictures, and those of the whole job if the image uses the job's method."""
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
        name = f"its {kind} {named.name!r}"
        try:
            fetched = self._stores[named.folder].get(named.key, if_etag=named.etag, max_bytes=most + 1)
        except ObjectMissing:
            raise ImageFailure(FailureCode.SOURCE_MISSING, f"{name}: deleted since planning") from None
        except ObjectChanged:
            raise ImageFailure(
                FailureCode.SOURCE_CHANGED, f"{name}: changed since the plan was made; run again"
            ) from None
        except ObjectDamaged as error:
            raise ImageFailure(FailureCode.SOURCE_DAMAGED, f"{name}: {error}") from None
        except AccessDenied as error:
            raise ImageFailure(FailureCode.SOURCE_DENIED, f"{name}: {error}") from None
        if len(fetched.data) > most:
            raise ImageFailure(FailureCode.TOO_LARGE, f"{name}: more bytes than half of limits.memory")
        return fetched.data
