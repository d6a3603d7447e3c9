"""What a job says while it works: lines for a person, or one JSON object a line for a log collector.

Only the process of the job itself speaks; workers tell it what there is to tell. As text, results go to
stdout and the rest to stderr. As JSON, everything goes to stderr, in the order in which it happened.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
import threading
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, TextIO

FORMATS = ("text", "json")
#: Fields that every JSON line has; `run`, `shard` and `key` are null where none is concerned.
FIELDS = ("time", "level", "event", "message", "run", "shard", "key")
Level = Literal["info", "warning", "error"]

# A child of ours that still writes to a captured descriptor must not keep the process from ending.
_LAST_SECONDS = 2.0


class _Log:
    """The one log of this process."""

    def __init__(self) -> None:
        self.json: TextIO | None = None  # where the objects go; None: text
        self.run: str | None = None
        self.lock = threading.Lock()


_log = _Log()


def set_up(format_: str) -> None:
    """Choose how this process speaks: one of FORMATS, to be called once.

    With json, also what others print (Ray, warnings) becomes JSON lines, of the event `output`, so that a
    collector never meets a line of another kind.
    """
    if format_ not in FORMATS:
        raise ValueError(f"the log format {format_!r} is none of {', '.join(FORMATS)}")
    if format_ == "text" or _log.json is not None:
        return
    _log.json = os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding="utf-8")
    sys.excepthook = _defect
    _capture(sys.stdout, "info")
    _capture(sys.stderr, "warning")


def bind(run: str) -> None:
    """From here on every line is about this run."""
    _log.run = run


def is_json() -> bool:
    """Whether details are wanted that text leaves to the ledger."""
    return _log.json is not None


def say(
    event: str,
    message: str,
    *,
    level: Level = "info",
    text: str | None = None,
    stderr: bool = False,
    shard: str | None = None,
    key: str | None = None,
    **fields: Any,
) -> None:
    """Say something in either format.

    Args:
        event: what happened, in one word, for a program to filter by.
        message: one line.
        text: what the text format prints in place of the message; it may have several lines.
        stderr: whether the text format prints it there, as it does with warnings and errors.
        shard, key: of the shard and the source object that it is about.
        fields: more values, for JSON alone.
    """
    if _log.json is None:
        stream = sys.stderr if stderr or level != "info" else sys.stdout
        print(message if text is None else text, file=stream, flush=True)
    else:
        _write(event, message, level, shard, key, fields)


def detail(
    event: str,
    message: str,
    *,
    level: Level = "info",
    shard: str | None = None,
    key: str | None = None,
    **fields: Any,
) -> None:
    """As `say`, for JSON alone."""
    if _log.json is not None:
        _write(event, message, level, shard, key, fields)


def _write(
    event: str, message: str, level: str, shard: str | None, key: str | None, fields: dict[str, Any]
) -> None:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    record = dict(zip(FIELDS, (now, level, event, message, _log.run, shard, key), strict=True))
    # ASCII: keys may hold what the terminal's encoding does not
    line = json.dumps(record | fields, default=str)
    with _log.lock:
        assert _log.json is not None
        _log.json.write(f"{line}\n")
        _log.json.flush()


def _defect(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """An exception that nobody expected, in one line instead of a traceback's many."""
    said = " ".join(f"{kind.__name__}: {error}".split())
    told = "".join(traceback.format_exception(kind, error, trace))
    _write("defect", said, "error", None, None, {"traceback": told})


def _capture(stream: Any, level: Level) -> None:
    """Make a JSON line of every line that is written to stdout or stderr, by native code too."""
    stream.reconfigure(line_buffering=True)
    descriptor = stream.fileno()
    own = os.dup(descriptor)
    read, write = os.pipe()
    os.dup2(write, descriptor)
    os.close(write)
    thread = threading.Thread(target=_read, args=(read, level), name=f"log of {descriptor}", daemon=True)
    thread.start()
    atexit.register(_release, descriptor, own, thread)


def _read(read: int, level: Level) -> None:
    with open(read, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if said := line.strip():
                _write("output", said, level, None, None, {})


def _release(descriptor: int, own: int, thread: threading.Thread) -> None:
    """At the end of the process: the last lines, then the descriptor as it was."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(own, descriptor)
    thread.join(_LAST_SECONDS)
