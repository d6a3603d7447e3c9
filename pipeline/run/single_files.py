"""Turn single photographs given instead of an input folder into their folder and their keys in it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pipeline.codecs.sniff import claims_image, readable_format
from pipeline.config.storage import StorageConfig
from pipeline.errors import AccessDenied, ConfigError
from pipeline.storage import open_store
from pipeline.storage.local import escape_name
from pipeline.storage.uri import BucketLocation, parse_uri

_HEAD_BYTES = 4096


@dataclass(frozen=True)
class Source:
    """`folder`: path or URI; `keys`: keys in it, None for all."""

    folder: str
    keys: tuple[str, ...] | None = None


class _File(NamedTuple):
    """root: "" for local files, else such as "s3://bucket"; folder: absolute, from the root; name: in it."""

    root: str
    folder: str
    name: str


def source_of(inputs: Sequence[str], storage: StorageConfig) -> Source:
    """Interpret the inputs on the command line: one folder, or photographs with their common folder.

    A local file is recognised by its name or its first bytes, an object by its name: `s3://bucket/a.tif`.

    Raises:
        ConfigError: a file is missing or not a photograph; several inputs of which one is not a photograph,
            or which lie in several buckets.
        StorageError: the bucket cannot be asked.
    """
    if len(inputs) == 1:
        file = _photograph(inputs[0], storage)
        if file is None:
            _refuse_no_photograph(inputs[0])
            return Source(inputs[0])
        return Source(f"{file.root}{file.folder}", (escape_name(file.name),))
    files = []
    for place in inputs:
        if (file := _photograph(place, storage)) is None:
            _refuse_no_photograph(place)
            raise ConfigError(f"{place} is not a photograph: give one folder, or files, and the output last")
        files.append(file)
    roots = sorted({file.root or "folders" for file in files})
    if len(roots) > 1:
        raise ConfigError(f"the photographs lie in {' and '.join(roots)}: colour them in separate runs")
    shared = os.path.commonpath([file.folder for file in files])
    paths = (Path(file.folder, file.name).relative_to(shared) for file in files)
    keys = {"/".join(map(escape_name, path.parts)) for path in paths}
    return Source(f"{files[0].root}{shared}", tuple(sorted(keys)))


def _refuse_no_photograph(place: str) -> None:
    """Raises ConfigError for a local file that is no photograph, and for one that is not there."""
    location = parse_uri(place)
    if isinstance(location, BucketLocation):
        return
    if location.is_file():
        raise ConfigError(
            f"{place} is not a photograph, by its name and its first bytes; give photographs, or a folder"
        )
    if claims_image(location.name, None) and not location.exists():
        raise ConfigError(f"there is no photograph {place}; check the path")


def _photograph(place: str, storage: StorageConfig) -> _File | None:
    """The place as a file, where it is a photograph."""
    location = parse_uri(place)
    if isinstance(location, BucketLocation):
        folder, _, name = f"/{location.prefix}".rpartition("/")
        if not claims_image(name, None) or place.endswith("/"):
            return None
        root = location.root
        try:
            there = open_store(f"{root}{folder}", storage).exists(name)
        except AccessDenied:  # credentials that may only list: the listing tells more
            there = False
        return _File(root, folder or "/", name) if there else None
    if not location.is_file():
        return None
    try:
        with location.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise ConfigError(f"cannot read {place}: {error.strerror}") from None
    if not claims_image(location.name, None) and readable_format(head) is None:
        return None
    return _File("", str(location.parent), location.name)
