"""What every Ray worker process runs first. A separate module, because `run` would import torch."""

from __future__ import annotations

import logging
import sys
import threading

_FAILURE = "[FailurePolicy] "
_LONGEST = 300  # characters of a reason


def quieten() -> None:
    """Reduce Ray Train's log to what a person needs.

    One part warns every second that there is no dashboard; we start none, because it serves an API without
    authentication. Two others print the traceback of each failed worker, although the driver reports the
    reason. TensorBoard's thread does the same when a disk is full.
    """
    threading.excepthook = _thread_failed
    logging.getLogger("ray.train.v2._internal.execution.controller.placement_group_cleaner").setLevel("ERROR")
    logging.getLogger("ray.train.v2._internal.execution.failure_handling.default").addFilter(_in_one_line)
    logging.getLogger("ray.train.v2._internal.util").addFilter(_is_no_traceback)


def _in_one_line(record: logging.LogRecord) -> bool:
    """Of a failure after which workers start again its reason; the last one is the driver's to report."""
    text = record.getMessage()
    if not text.startswith(_FAILURE):
        return True
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    record.msg, record.args, record.exc_info = f"workers restart: {lines[-1][:_LONGEST]}", (), None
    return "RETRY" in lines[0]


def _is_no_traceback(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("Error in training function")


def _thread_failed(args: threading.ExceptHookArgs) -> None:
    if isinstance(args.exc_value, OSError):
        print(f"a thread of TensorBoard or another library stopped: {args.exc_value}", file=sys.stderr)
    else:
        threading.__excepthook__(args)
