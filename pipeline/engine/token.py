"""Keep the token of a local Ray in a file that only its owner may read.

If the file is missing, Ray creates it readable for every user of the machine, and anyone who can read it can
run anything as this user while the job runs.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from pipeline.errors import RunError


def secure_token() -> None:
    """Create `~/.ray/auth_token` with mode 0600 before Ray would; an existing file gets this mode.

    Does nothing if the environment names a token or disables tokens, or if the file belongs to another user.
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
    with suppress(FileExistsError):  # two jobs that start together both use the first one's token
        path.hardlink_to(part)
    part.unlink()
