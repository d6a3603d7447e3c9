"""The beginning and the end of every colouring run: `commands/colorize.py` calls `run_job`.

It checks for a user's mistakes before importing torch and Ray, which takes seconds.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.cli import log
from pipeline.cli.run_id import make_run_id, run_date
from pipeline.config.job import JobConfig
from pipeline.errors import EXIT_UNFINISHED, ConfigError, FiatColorError
from pipeline.run.checks import check, nothing_chosen
from pipeline.run.engine_choice import may_use_processes
from pipeline.run.fork_server import start_in_advance
from pipeline.run.notify import Outcome, deliver, notice
from pipeline.run.single_files import source_of


@dataclass(frozen=True)
class ColorizeRequest:
    """The request of the command line: URIs or folders, the configuration, and whether only to plan.

    show_config: whether a dry run prints the whole configuration, too.
    files: the photographs that the user named instead of a folder. `input` is then their folder, and the
    configuration has their keys.
    """

    input: str
    output: str
    config: JobConfig
    dry_run: bool = False
    show_config: bool = False
    files: tuple[str, ...] = ()


def request_of(
    inputs: str | Sequence[str],
    output: str,
    config: JobConfig,
    dry_run: bool = False,
    show_config: bool = False,
) -> ColorizeRequest:
    """Make the request for a folder, or for single photographs.

    Raises:
        ConfigError: as `source_of`, and where `plan.keys` is set, too. StorageError: as `source_of`.
    """
    places = [inputs] if isinstance(inputs, str) else list(inputs)
    source = source_of(places, config.storage)
    if source.keys is None:
        return ColorizeRequest(source.folder, output, config, dry_run, show_config)
    if config.plan.keys is not None:
        raise ConfigError("plan.keys selects from a folder; leave it out, or give the folder as the input")
    config = config.model_copy(update={"plan": config.plan.model_copy(update={"keys": source.keys})})
    return ColorizeRequest(source.folder, output, config, dry_run, show_config, tuple(places))


def run_job(request: ColorizeRequest, began: float | None = None) -> int:
    """As `run_to_its_end`; returns the exit status."""
    return run_to_its_end(request, began).exit_status


def run_to_its_end(request: ColorizeRequest, began: float | None = None) -> Outcome:
    """Colour everything that is not done, and always report the outcome to the webhook.

    Args:
        began: when the command began, seconds since 1970; None: now.

    Returns and raises as `run.colorize.run` and `run.checks.check`; a failing webhook changes neither.
    """
    run_id = make_run_id()
    log.bind(run_id)
    try:
        outcome = _run(request, run_id, time.time() if began is None else began)
    except Exception as error:
        status = error.exit_status if isinstance(error, FiatColorError) else EXIT_UNFINISHED
        _report(request, run_id, Outcome(status, str(error) or type(error).__name__))
        raise
    _report(request, run_id, outcome)
    return outcome


def _run(request: ColorizeRequest, run_id: str, began: float) -> Outcome:
    date = run_date()
    source, out = check(request.input, request.output, request.files, request.config)
    if not request.show_config and (nothing := nothing_chosen(source, request.config)) is not None:
        return nothing
    with start_in_advance(may_use_processes(request.config.run) and not request.dry_run):
        from pipeline.run.colorize import run  # torch, while the workers' server imports it, too

        return run(request, source, out, run_id, date, began)


def _report(request: ColorizeRequest, run_id: str, outcome: Outcome) -> None:
    if not request.dry_run:
        deliver(request.config.notify, notice(run_id, request.input, request.output, outcome))
