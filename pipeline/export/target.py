"""The target of an export: one file, written completely or not at all, never overwriting another file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError, StorageError
from pipeline.ledger.keys import RESERVED
from pipeline.storage import Store, open_store, refuse_overlap
from pipeline.storage.temporary import temporary_folder
from pipeline.storage.uri import parse_uri


@dataclass(frozen=True)
class Target:
    """A file at a local `path`, or (`path` None) the object `key` of a bucket."""

    uri: str
    path: Path | None
    store: Store
    key: str

    @contextmanager
    def create(self, media_type: str) -> Iterator[BinaryIO]:
        """A file to write to; it appears at its place only when the block ends without an error.

        Raises:
            StorageError: it cannot be written.
        """
        try:
            if self.path is None:
                writing = _whole_object(self.store, self.key, media_type)
            else:
                writing = _whole_file(self.path)
            with writing as file:
                yield file
        except OSError as error:
            raise StorageError(f"cannot write {self.uri}: {error.strerror or error}") from None


@contextmanager
def _whole_object(store: Store, key: str, media_type: str) -> Iterator[BinaryIO]:
    with temporary_folder() as folder:
        path = folder / "export"
        with path.open("wb") as file:
            yield file
        store.put_file(key, path, media_type)


@contextmanager
def _whole_file(path: Path) -> Iterator[BinaryIO]:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{uuid4().hex}.partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)


def open_target(uri: str, storage: StorageConfig) -> Target:
    """The target that `--to` names; touches neither disk nor network.

    Raises:
        ConfigError: it names no file.
    """
    location = parse_uri(uri)
    if isinstance(location, Path):
        return Target(uri, location, open_store(str(location.parent), storage), location.name)
    folder, _, name = location.prefix.rpartition("/")
    if not name:
        raise ConfigError(f"{uri!r} is a whole bucket; give a name in it, {location.root}/NAME")
    parent = f"{location.root}/{folder}"
    return Target(uri, None, open_store(parent, storage), name)


def refuse_occupied(out: Store, target: Target) -> None:
    """Refuse a target that exists, or that lies in a folder of the colouring runs.

    Raises:
        ConfigError: it does. StorageError: the store cannot tell whether it exists.
    """
    for folder in RESERVED:
        refuse_overlap(f"{out.uri}/{folder}", target.uri, own=())
    exists = target.store.exists(target.key) if target.path is None else _exists(target.path)
    if exists:
        raise ConfigError(f"{target.uri} exists already; move it away, or give another --to")


def _exists(path: Path) -> bool:
    try:
        return path.is_symlink() or path.exists()
    except OSError as error:
        raise ConfigError(f"cannot look for {path}: {error.strerror}") from None
