"""The log of a job: lines for a person, or one JSON object per line for a log collector.

It uses the standard library logger `fiat_color`. In text format, results go to stdout and the rest to stderr.
In JSON format, everything goes to stderr in chronological order: our records, those of other libraries, and
all printed output. Only the job's own process writes the log; workers report to it.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import sys
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, TextIO

FORMATS = ("text", "json")
#: Fields of every JSON line; `run`, `shard` and `key` are null if the line is not about one.
FIELDS = ("time", "level", "event", "message", "run", "shard", "key")
Level = Literal["info", "warning", "error"]

# A child process that still writes to a captured descriptor must not keep this process alive.
_LAST_SECONDS = 2.0
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_DETAILS = "fiat_color"  # the attribute of our records


@dataclass(frozen=True)
class _Details:
    """The extra data of our log records, as passed to `say`."""

    event: str
    text: str | None = None
    stderr: bool = False
    shard: str | None = None
    key: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)


class JsonFormatter(logging.Formatter):
    """Format a record as one JSON object, FIELDS first; records of libraries have the event `output`."""

    run: str | None = None

    def format(self, record: logging.LogRecord) -> str:
        """Format in ASCII, because keys may contain characters that the terminal's encoding lacks."""
        details: _Details = getattr(record, _DETAILS, None) or _Details("output")
        now = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        level = next((name for name, least in reversed(_LEVELS.items()) if record.levelno >= least), "info")
        message = record.getMessage()
        if details.event == "output":
            message = " ".join(message.split())
        values = (now.replace("+00:00", "Z"), level, details.event, message)
        entry = dict(zip(FIELDS, (*values, self.run, details.shard, details.key), strict=True))
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry | details.fields, default=str)


class _TextHandler(logging.Handler):
    """Print for a person: warnings, errors and records marked `stderr` on stderr, the rest on stdout."""

    def emit(self, record: logging.LogRecord) -> None:
        details: _Details = getattr(record, _DETAILS)
        stream = sys.stderr if details.stderr or record.levelno > logging.INFO else sys.stdout
        print(record.getMessage() if details.text is None else details.text, file=stream, flush=True)


_logger = logging.getLogger("fiat_color")
_logger.setLevel(logging.INFO)
_logger.propagate = False
_text = _TextHandler()
_logger.addHandler(_text)
_json = JsonFormatter()
_captured = logging.getLogger("fiat_color.output")


def set_up(format_: str) -> None:
    """Choose the format of this process's log (one of FORMATS). Call this once.

    With json, everything that others log or print (Ray, libraries, warnings) also becomes JSON lines, with
    the event `output`, so a collector sees only JSON.
    """
    if format_ not in FORMATS:
        raise ValueError(f"the log format {format_!r} is not one of {', '.join(FORMATS)}")
    if format_ == "text" or is_json():
        return
    stream = os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding="utf-8")
    handler: logging.StreamHandler[TextIO] = logging.StreamHandler(stream)
    handler.setFormatter(_json)
    logging.getLogger().addHandler(handler)
    _logger.removeHandler(_text)
    _logger.propagate = True
    logging.captureWarnings(True)
    sys.excepthook = _defect
    _capture(sys.stdout, "info")
    _capture(sys.stderr, "warning")


def bind(run: str) -> None:
    """Add this run to all following lines."""
    _json.run = run


def is_json() -> bool:
    """Whether to log details that the text format leaves to the ledger."""
    return _logger.propagate


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
    """Log a message in the current format.

    Args:
        event: one word for what happened, so that programs can filter.
        message: one line.
        text: printed by the text format instead of the message; may have several lines.
        stderr: whether the text format prints to stderr, as it always does for warnings and errors.
        shard, key: the shard and the source object that the message is about.
        fields: more values, only for JSON.
    """
    details = _Details(event, text, stderr, shard, key, fields)
    _logger.log(_LEVELS[level], "%s", message, extra={_DETAILS: details})


def detail(
    event: str,
    message: str,
    *,
    level: Level = "info",
    shard: str | None = None,
    key: str | None = None,
    **fields: Any,
) -> None:
    """Like `say`, but only in JSON format."""
    if is_json():
        say(event, message, level=level, shard=shard, key=key, **fields)


def _defect(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log an unexpected exception in one line instead of a traceback."""
    message = " ".join(f"{kind.__name__}: {error}".split())
    _logger.error("%s", message, exc_info=(kind, error, trace), extra={_DETAILS: _Details("defect")})


def _capture(stream: Any, level: Level) -> None:
    """Turn every line written to stdout or stderr, also by native code, into a JSON line."""
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
            if line := line.strip():
                _captured.log(_LEVELS[level], "%s", line)


def _release(descriptor: int, own: int, thread: threading.Thread) -> None:
    """At the end of the process, log the last lines and restore the descriptor."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(own, descriptor)
    thread.join(_LAST_SECONDS)
