"""Where a local Ray keeps its session: in the folder for temporary files, under a short path."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ray._common.utils import get_default_ray_temp_dir

from pipeline.errors import RunError

#: Longest path of a Unix socket on Linux, bytes, without its closing NUL (manual page unix(7)).
_MAX_SOCKET_BYTES = 107
#: What Ray appends for its longest socket path; a process id has at most seven digits.
_SOCKET = "/session_2000-01-01_00-00-00_000000_4194304/sockets/plasma_store"
#: The folder for temporary files that every Linux has (Filesystem Hierarchy Standard 3.0, 3.18).
_SHORT = Path("/tmp")


@contextmanager
def session_folder() -> Iterator[str | None]:
    """The `_temp_dir` of a local Ray: None if its default is short enough, else a link to the default.

    With the link, the files stay in the folder that TMPDIR names; it may be set because /tmp is too small.

    Raises:
        RunError: the folder cannot be made, or the link cannot be made in /tmp.
    """
    chosen: str = get_default_ray_temp_dir()  # type: ignore[no-untyped-call]
    if len((chosen + _SOCKET).encode()) <= _MAX_SOCKET_BYTES:
        yield None
        return
    try:
        Path(chosen).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"Ray did not start on this machine: it cannot make the folder {chosen} ({error.strerror}); "
            "set TMPDIR to a folder that can be written"
        ) from None
    try:
        folder = Path(tempfile.mkdtemp(prefix="ray-", dir=_SHORT))
        link = folder / "ray"
        link.symlink_to(Path(chosen).absolute())
    except OSError as error:
        raise RunError(
            f"Ray did not start on this machine: paths in {chosen} are too long for its sockets, and it "
            f"cannot be linked in {_SHORT} ({error.strerror}); set TMPDIR to a folder with a shorter path"
        ) from None
    try:
        yield str(link)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
