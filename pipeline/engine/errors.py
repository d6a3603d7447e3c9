"""Turn a worker's failure into one error for the driver: our own as raised, or Ray's in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ray.exceptions import RayTaskError

from pipeline.errors import FiatColorError, RunError

_LONGEST = 400  # characters of Ray's own words
# a frame of this project in the text of a worker's traceback
_FRAME = re.compile(r'File "[^"]*?(pipeline/[^"]+)", line (\d+)')


def explained(error: Exception, advice: str) -> FiatColorError:
    """The error to raise in the driver when Ray reports that a worker failed.

    Args:
        error: what Ray raised. Ray Train's errors have the workers' in `worker_failures`.
        advice: what the user can do about an error that is not ours.

    Returns:
        The FiatColorError that a worker raised, with its one line as the message. For any other error a
        RunError: the error's first line, the line of our code that met it if there is one, and the advice.
    """
    original: BaseException | None = None
    traceback = str(error) if isinstance(error, RayTaskError) else ""
    for each in _behind(error):
        if isinstance(each, FiatColorError):
            return _in_one_line(each)
        if hasattr(each, "_base_exc"):  # a wrapper of Ray Train, whose text is a traceback
            traceback = traceback or str(each)
        elif each is not error:
            original = original or each
    return RunError(f"the run stopped: {_reason(error, original, traceback)}; {advice}")


def _behind(error: Exception) -> Iterator[BaseException]:
    """The errors that workers raised, outermost first.

    Ray raises an object that is of its cause's class as well, and whose text is a traceback of many lines:
    only its `cause` is what the worker raised.
    """
    pending: list[BaseException | None] = [error]
    met: set[int] = set()
    while pending:
        each = pending.pop(0)
        if each is None or id(each) in met:
            continue
        met.add(id(each))
        failures = getattr(each, "worker_failures", {})
        pending += [*failures.values(), getattr(each, "cause", None), getattr(each, "_base_exc", None)]
        pending += [each.__cause__, each.__context__]
        if not isinstance(each, RayTaskError):
            yield each


def _in_one_line(error: FiatColorError) -> FiatColorError:
    """Our messages are one line; drop the advice that Ray Data appends on how to ignore errors."""
    line = str(error).partition("\n")[0]
    error.args = tuple(line if argument == str(error) else argument for argument in error.args)
    return error


def _reason(error: Exception, original: BaseException | None, traceback: str) -> str:
    text = str(error)
    if traceback and original is not None:
        frames = _FRAME.findall(traceback)
        place = f" ({frames[-1][0]}, line {frames[-1][1]})" if frames else ""
        return f"{type(original).__name__}: {str(original).partition(chr(10))[0]}{place}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if hasattr(error, "worker_failures"):
        return " ".join(lines)[-_LONGEST:]
    return lines[-1] if lines else type(error).__name__
