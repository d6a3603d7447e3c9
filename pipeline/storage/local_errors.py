"""Messages for errors of file systems."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from pipeline.errors import AccessDenied, BadKey, ObjectMissing, StorageError
from pipeline.storage.base import printable

_BAD_KEY = {errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ENAMETOOLONG, errno.EILSEQ}

#: What a person can do about an error of the file system.
_ADVICE = {
    errno.ENOSPC: "free space on its disk",
    errno.EDQUOT: "free space below its quota",
    errno.EFBIG: "raise the limit on the size of files",
    errno.EROFS: "make it writable",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "raise the limit on open files (sysctl fs.file-max)",
}


def unusable(error: OSError, place: str) -> StorageError:
    """The error for reading or writing below `place` without a store, with what to do about it."""
    if isinstance(error, PermissionError):
        return AccessDenied(f"no permission to use {place}; check its owner and mode")
    advice = _ADVICE.get(error.errno or 0)
    # Arrow's messages are long; the error number says the same
    reason = (
        os.strerror(error.errno or 0) if advice else " ".join(str(error).split()).partition(" Detail: ")[0]
    )
    advice = advice or "check the storage and its credentials"
    return StorageError(
        f"cannot read or write below {place}: {reason}; {advice} and run the same command again"
    )


def translated(error: OSError, path: Path, action: str) -> StorageError:
    """The error of a store that could not `action` this path, with what to do about it."""
    name = printable(str(path))
    missing = isinstance(error, FileNotFoundError)
    if missing or (action == "read" and isinstance(error, NotADirectoryError | IsADirectoryError)):
        return ObjectMissing(f"{name} does not exist")
    if isinstance(error, PermissionError):
        return AccessDenied(f"no permission to {action} {name}; check its owner and mode")
    if error.errno in _BAD_KEY:
        return BadKey(f"cannot {action} {name}: {error.strerror}")
    advice = _ADVICE.get(error.errno or 0, "check the disk or the share")
    return StorageError(f"cannot {action} {name}: {error.strerror}; {advice} and run the same command again")


def refuse_read_only(root: Path) -> None:
    """Raise the OSError that writing below a folder would raise, as far as owner, mode and mount show. For a
    missing folder, check its nearest existing parent."""
    nearest = next(path for path in (root, *root.parents) if path.exists())
    if not nearest.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if os.statvfs(nearest).f_flag & os.ST_RDONLY:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
