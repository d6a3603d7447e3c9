"""The secret of a Ray that a job starts on this machine, in a file that only its owner may read.

Ray makes the file by itself where it is missing, and lets every user of the machine read it: whoever can, can
run anything as this user while the job is under way.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from pipeline.errors import RunError


def secure_token() -> None:
    """Make `~/.ray/auth_token`, mode 0600, where Ray is about to make one; one that is there gets the mode.

    Nothing is done where the environment names a token or switches tokens off, or the file is another user's.
    Raises RunError where the file cannot be made.
    """
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH"):
        return
    if os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
        return
    path = Path.home() / ".ray" / "auth_token"
    try:
        if not path.exists():
            _make(path)
        elif path.stat().st_uid == os.getuid():
            path.chmod(0o600)
    except OSError as error:
        reason = error.strerror
        raise RunError(f"cannot make Ray's token at {path} ({reason}); set RAY_AUTH_TOKEN_PATH") from None


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.touch(mode=0o600)
    part.write_text(secrets.token_hex(32), encoding="ascii")
    with suppress(FileExistsError):  # of two jobs that begin together both take the first one's
        path.hardlink_to(part)
    part.unlink()
