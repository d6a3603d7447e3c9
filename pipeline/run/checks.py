"""Check what a user may have got wrong before anything starts. Imports neither torch nor Ray."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from pipeline.cli import log
from pipeline.config.job import JobConfig
from pipeline.errors import EXIT_DONE
from pipeline.models.names import check_names
from pipeline.run.notify import Outcome
from pipeline.storage import Store, open_store, refuse_overlap

#: For patterns and keys, at most this many files are listed here; with more, the plan reports what matches
#: nothing.
_FEW = 5000


def check(input: str, output: str, files: Sequence[str], config: JobConfig) -> tuple[Store, Store]:
    """Open input and output after checking that a run can use them and that all names are known.

    Writes nothing and creates no folder.

    Args:
        files: the photographs that the user named instead of the folder `input`.

    Raises:
        ConfigError: input and output overlap; there is no such input, method, or file of weights.
        StorageError: the input cannot be listed, or nothing can be written to the output.
    """
    for place in files or (input,):  # single files may lie beside the output's folder
        refuse_overlap(place, output)
    if (pictures := config.model.pictures) is not None:
        refuse_overlap(pictures, output)
    source, out = open_store(input, config.storage), open_store(output, config.storage)
    source.check_readable()
    check_names(stated_method(config), config.model.weights)
    out.check_writable(make=False)
    return source, out


def stated_method(config: JobConfig) -> str | None:
    """The method that the user named, or the default; None if only the weights state it."""
    model = config.model
    return model.method if model.weights is None or "method" in model.model_fields_set else None


def nothing_chosen(source: Store, config: JobConfig) -> Outcome | None:
    """Print and return the outcome of a run with an empty input, or whose patterns and keys match nothing.

    None if there is something to colour, or if only the plan can tell: with an inventory instead of a
    listing, and for patterns and keys with more than _FEW files.

    Raises:
        ConfigError: there is no file of keys; with `plan.strict`, a pattern or key matches nothing.
        StorageError: the input cannot be listed.
    """
    plan = config.plan
    if plan.inventory is not None:
        return None
    chooses = bool(plan.include or plan.exclude or plan.keys is not None)
    listed = list(islice(source.list(), _FEW + 1 if chooses else 1))
    if chooses and 0 < len(listed) <= _FEW:
        from pipeline.plan.listing import choose, chosen_keys  # pyarrow

        objects, _, warnings = choose(listed, plan, chosen_keys(plan.keys, config.storage))
        if len(objects):
            return None
        for warning in warnings:
            log.say("warning", warning, level="warning", text=f"warning: {warning}")
    elif listed:
        return None
    return nothing_there()


def nothing_there() -> Outcome:
    """Print and return the outcome of a run with an empty input."""
    message = "Nothing to do: the input contains no files. If you expected some, check the spelling."
    log.say("summary", message, exit_status=EXIT_DONE)
    return Outcome(EXIT_DONE, message)
