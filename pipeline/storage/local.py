"""A local folder as a store.

Keys are relative paths with "/". A name that is not UTF-8 appears in its key with every invalid byte as
U+FFFD and two hex digits ("caf\ufffdE9.jpg"), because Parquet and S3 hold only Unicode; the key can be
converted back to the name.
"""

from __future__ import annotations

import errno
import io
import os
import re
import shutil
import stat
from collections.abc import Iterator
from mmap import mmap
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import (
    AlreadyExists,
    BadKey,
    ConfigError,
    ObjectChanged,
    ObjectMissing,
)
from pipeline.storage.alike import NameFolding, probe
from pipeline.storage.base import GetResult, ObjectInfo, check_key, printable
from pipeline.storage.half_written import half_written_name, is_half_written
from pipeline.storage.local_errors import refuse_read_only, translated
from pipeline.storage.uri import resolved

_WORKING_DIR = "/runtime_resources/working_dir_files/"  # below the session's folder of Ray
_COPY_BYTES = 4 * 2**20
_STRAY = re.compile("[\udc80-\udcff]|\ufffd(?=[89A-F][0-9A-F])")
_ESCAPED = re.compile("\ufffd([89A-F][0-9A-F])")
#: Errors of os.link on file systems without hard links (FAT, some network mounts).
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def escape_name(name: str) -> str:
    """A file name from `os` (invalid bytes as surrogates) as text that any store can hold."""
    return _STRAY.sub(lambda m: "".join(f"\ufffd{b:02X}" for b in os.fsencode(m[0])), name)


def unescape_name(name: str) -> str:
    """The inverse of `escape_name`.

    Raises:
        BadKey: `escape_name` never returns this text, so two keys would mean the same file.
    """
    stray = _ESCAPED.sub(lambda m: chr(0xDC00 + int(m[1], 16)), name)
    decoded = os.fsdecode(os.fsencode(stray))  # joins bytes that together form a character
    if escape_name(decoded) != name:
        raise BadKey(f"the key part {name!r} is not the escaped form of any file name")
    return decoded


class LocalStore:
    """See `Store`. ETag: size and modification time in nanoseconds, in hex."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._alike: NameFolding | None = None  # probed on first use

    @property
    def uri(self) -> str:
        return str(self.root)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        folder, slash, start = prefix.rpartition("/")
        path = self._path(folder) if folder else self.root
        if not path.is_dir():
            return
        # a stack, not recursion: a hostile tree may exceed Python's recursion limit
        stack = [_entries(path, folder + slash, start)]
        ancestors = [_identity(path)]
        while stack:
            entry = next(stack[-1], None)
            if entry is None:
                stack.pop()
                ancestors.pop()
            elif isinstance(entry, ObjectInfo):
                yield entry
            elif _identity(entry[0]) not in ancestors:  # a link to a parent folder would loop for ever
                stack.append(_entries(entry[0], entry[1]))
                ancestors.append(_identity(entry[0]))

    def get(
        self,
        key: str,
        *,
        if_etag: str | None = None,
        start: int = 0,
        max_bytes: int | None = None,
        size: int | None = None,
    ) -> GetResult:
        """As in `Store`. A file system keeps no checksums, and `if_etag` holds the size."""
        path = self._path(key)
        try:
            with open(path, "rb", opener=_open_at_once) as file:
                before = os.fstat(file.fileno())
                if not stat.S_ISREG(before.st_mode):
                    raise ObjectMissing(f"{printable(str(path))} is not a regular file")
                etag = _etag(before)
                if if_etag not in (None, etag):
                    raise ObjectChanged(f"{printable(str(path))} was changed after it was listed")
                file.seek(start)
                data = file.read(-1 if max_bytes is None else max_bytes)
                if _etag(os.fstat(file.fileno())) != etag:
                    raise ObjectChanged(f"{printable(str(path))} changed while it was read")
        except OSError as error:
            raise translated(error, path, "read") from None
        return GetResult(data, etag, None)

    def put(self, key: str, data: bytes, content_type: str | None = None) -> None:
        self._replace(self._path(key), io.BytesIO(data))

    def put_file(self, key: str, path: Path, content_type: str | None = None) -> None:
        with path.open("rb") as source:
            self._replace(self._path(key), source)

    def _replace(self, path: Path, source: BinaryIO) -> None:
        try:
            temporary = _write_temporary(path, source)
            try:
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise translated(error, path, "write") from None

    def put_if_absent(self, key: str, data: bytes, content_type: str | None = None) -> None:
        path = self._path(key)
        try:
            temporary = _write_temporary(path, io.BytesIO(data))
            try:
                _publish(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
        except FileExistsError:
            raise AlreadyExists(f"{printable(str(path))} already exists") from None
        except OSError as error:
            raise translated(error, path, "write") from None

    def fits_parts(self, key: str, data: bytes | mmap, etag: str) -> bool:
        return True

    def exists(self, key: str) -> bool:
        try:
            return stat.S_ISREG(self._path(key).stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise translated(error, self._path(key), "read") from None

    def is_restored(self, key: str) -> bool:
        return False

    def delete(self, key: str) -> None:
        try:
            self._path(key).unlink()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return
        except OSError as error:
            raise translated(error, self._path(key), "delete") from None

    def drop_empty_folders(self, folder: str) -> None:
        for below, _, _ in os.walk(self._path(folder), topdown=False):
            try:
                Path(below).rmdir()
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                    raise translated(error, Path(below), "delete") from None

    def comparable(self, key: str) -> str:
        self._alike = self._alike or probe(self.root)
        return self._alike.comparable(key)

    def check_readable(self) -> None:
        _refuse_working_dir(self.root)
        if not self.root.exists():
            raise ConfigError(f"there is no folder {self.root}; check the path")
        if not self.root.is_dir():
            raise ConfigError(f"{self.root} is a file; give the folder that holds it")
        try:
            os.scandir(self.root).close()
        except OSError as error:
            raise translated(error, self.root, "list") from None

    def check_writable(self, *, make: bool = True) -> None:
        _refuse_working_dir(self.root)
        if self.root.exists() and not self.root.is_dir():
            raise ConfigError(f"{self.root} is a file; give a folder for the results")
        try:
            if not make:
                refuse_read_only(self.root)
                return
            _write_temporary(self.root / "check", io.BytesIO()).unlink()
        except (FileExistsError, NotADirectoryError):
            raise ConfigError(f"{self.root} is below a file; give a folder for the results") from None
        except OSError as error:
            raise translated(error, self.root, "write to") from None

    def _path(self, key: str) -> Path:
        check_key(key)
        return self.root.joinpath(*map(unescape_name, key.split("/")))


def _refuse_working_dir(root: Path) -> None:
    """Raises ConfigError for a folder in the copy of a job's working directory that Ray has unpacked, because
    it is on one machine and disappears after the job."""
    if _WORKING_DIR in str(resolved(root)):
        raise ConfigError(
            f"{root} is in the job's working directory, which Ray has unpacked and will remove; give "
            "the absolute path of a folder that all machines share, or s3://BUCKET/PREFIX"
        )


def _entries(folder: Path, prefix: str, start: str = "") -> Iterator[ObjectInfo | tuple[Path, str]]:
    """Objects and subfolders (path, key prefix) of one folder, in the order of their keys."""
    try:
        with os.scandir(folder) as scan:
            entries = [(_key_part(entry), entry) for entry in scan if not is_half_written(entry.name)]
    except OSError as error:
        raise translated(error, folder, "list") from None
    for part, entry in sorted(entries, key=lambda pair: pair[0]):
        if not part.startswith(start):
            continue
        if part.endswith("/"):
            yield folder / entry.name, prefix + part
        elif info := _info(entry, prefix + part):
            yield info


def _key_part(entry: os.DirEntry[str]) -> str:
    """The escaped name; with a slash for a folder, so that "a.jpg" and "a/b" sort like whole keys."""
    try:
        is_folder = entry.is_dir()
    except OSError:  # a link to itself: list it as an unreadable object
        is_folder = False
    return escape_name(entry.name) + "/" * is_folder


def _info(entry: os.DirEntry[str], key: str) -> ObjectInfo | None:
    """The listed object, also for a dangling link, so that it gets a row; None if it is gone meanwhile."""
    try:
        status = entry.stat()
    except OSError:
        return ObjectInfo(key, "0-0", 0) if entry.is_symlink() else None
    return ObjectInfo(key, _etag(status), status.st_size)


def _etag(status: os.stat_result) -> str:
    return f"{status.st_size:x}-{status.st_mtime_ns:x}"


def _identity(folder: Path) -> tuple[int, int]:
    try:
        status = folder.stat()
    except OSError as error:
        raise translated(error, folder, "list") from None
    return status.st_dev, status.st_ino


def _open_at_once(path: str, flags: int) -> int:
    """Opener for `open` that does not block; a named pipe would otherwise wait for a writer for ever."""
    return os.open(path, flags | os.O_NONBLOCK)


def _write_temporary(path: Path, source: BinaryIO) -> Path:
    """Write a complete file next to `path` under a name that listings omit; create missing folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / half_written_name()
    try:
        with temporary.open("xb") as file:
            shutil.copyfileobj(source, file, _COPY_BYTES)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _publish(temporary: Path, path: Path) -> None:
    """Give the file its name unless that exists (FileExistsError); atomic where hard links are supported."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        temporary.replace(path)
