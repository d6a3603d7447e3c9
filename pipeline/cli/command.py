"""What every command does around its work: parse shared options, and report a user's mistake in one line."""

from __future__ import annotations

import argparse
import difflib
import io
import re
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import psutil

from pipeline.cli import log
from pipeline.cli.interrupt import stop_on_signals
from pipeline.cli.places import Places
from pipeline.cli.shipped import config_of
from pipeline.errors import EXIT_UNFINISHED, EXIT_USAGE, FiatColorError

_OPTION = "--log-format"
_INTERRUPTED = "interrupted; run the same command again: it starts over, or continues where this one stopped"


class JobParser(argparse.ArgumentParser):
    """The command line of a job, with the options that all jobs have: `--config`, `--set`, `--log-format`.

    Parsed values: `config` (a path or None), `overrides` (a list of `section.key=value`) and `log_format`.
    """

    def __init__(self, *, config: str | None, shipped: str = "", **settings: Any) -> None:
        """
        Args:
            config: the help of `--config`; None for a job that has no such file.
            shipped: the folder of `configs/` whose files are named without a path.
            settings: argparse's.
        """
        if "epilog" in settings:  # examples: print them exactly as written
            settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(**settings)
        print_every_character()
        self._typed: Sequence[str] = ()
        self.places: Places | None = None
        common = self.add_argument_group("options of all jobs")
        if config is not None:
            common.add_argument("--config", metavar="FILE", type=config_of(shipped), help=config)
        common.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="section.key=value",
            dest="overrides",
            help="a configuration value; repeatable",
        )
        common.add_argument(
            _OPTION, choices=log.FORMATS, default="text", help="json: one JSON object a line, on stderr"
        )

    def add_places(self, many: bool = False, optional: Sequence[str] = (), **helps: str) -> None:
        """Add options for places, which may also be given as positional arguments, in this order.

        Args:
            many: whether the first option takes several values; it is then a list.
            optional: those that may be left out.
            helps: the help of each, by its name.
        """
        for name, text in helps.items():
            self.add_argument(f"--{name}", metavar="URI", help=text)
        shown = {"input": "IN ..." if many else "IN", "output": "OUT"}
        self.usage = f"%(prog)s {' '.join(shown[name] for name in helps)} [options]"
        self.add_argument("places", nargs="*", help=argparse.SUPPRESS)
        self.places = Places(tuple(helps), many, tuple(name for name in helps if name not in optional))

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as argparse does; keep the arguments for `error`, and assign positional ones to places."""
        self._typed = sys.argv[1:] if args is None else list(args)
        parsed, others = super().parse_known_args(args, namespace)
        if self.places is None or any(word.startswith("-") for word in others):
            return parsed, others
        # argparse takes consecutive ones together and leaves those after the next option
        if wrong := self.places.assign(parsed, [*parsed.places, *others]):
            self.error(wrong)
        return parsed, []

    def error(self, message: str) -> NoReturn:
        """Exit with 2. Report in JSON if the command line asks for it, even if the rest is wrong."""
        message += self._nearest(message)
        options = " ".join(self._typed).replace(f"{_OPTION} ", f"{_OPTION}=").split()
        if f"{_OPTION}=json" not in options:
            super().error(message)
        log.set_up("json")
        log.say("error", f"{message} (see --help)", level="error", exit_status=EXIT_USAGE)
        raise SystemExit(EXIT_USAGE)

    def _nearest(self, message: str) -> str:
        """The suggestion for an unknown option: the closest known one; empty if there is no close match."""
        _, unknown, words = message.partition("unrecognized arguments: --")
        if not unknown:
            return ""
        option = "--" + re.split(r"[ =]", words)[0]
        near = difflib.get_close_matches(option, self._option_string_actions, n=1, cutoff=0.8)
        return f"; did you mean {near[0]}?" if near else ""


def exit_status(work: Callable[[], int | None], log_format: str = "text") -> int:
    """Run `work`; return its exit status (0 for None). Report a FiatColorError in one line on stderr.

    SIGTERM and Ctrl-C also end it with one line.
    """
    print_every_character()
    log.set_up(log_format)
    stop_on_signals()
    try:
        return work() or 0
    except FiatColorError as error:
        status = error.exit_status
        log.say("error", str(error), level="error", text=f"error: {error}", exit_status=status)
        return status
    except KeyboardInterrupt:  # the work did not report it itself
        status = EXIT_UNFINISHED
        log.say("error", _INTERRUPTED, level="error", text=f"error: {_INTERRUPTED}", exit_status=status)
        return status


def began_at(*, of_process: bool) -> float:
    """When a command began, seconds since 1970.

    Args:
        of_process: the process runs only this command; return its start, before Python's imports.
    """
    return psutil.Process().create_time() if of_process else time.time()


def print_every_character() -> None:
    """Make stdout and stderr escape characters that their encoding lacks.

    By default stdout raises UnicodeEncodeError, so one file name could end a run.
    """
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper):
            continue  # closed or replaced by the caller
        if stream.errors == "strict" or stream.encoding.lower().replace("-", "") != "utf8":
            stream.reconfigure(errors="backslashreplace")
