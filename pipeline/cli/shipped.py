"""The configurations that come with the package: `pipeline/configs`, a link to the folder `configs/`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path

SHIPPED = Path(__file__).resolve().parents[1] / "configs"


def shipped_names(kind: str) -> list[str]:
    """The names of the shipped configurations of a kind, such as "colorize", sorted."""
    return sorted(path.stem for path in (SHIPPED / kind).glob("*.yaml"))


def shipped_config(kind: str, text: str) -> str:
    """The path of a configuration: a file where `text` is one, else a shipped one of the kind.

    A shipped one is named as `demo`, as `colorize/demo` or as pages write it, `configs/colorize/demo.yaml`.
    Text that is neither, and does not look like a name, is returned unchanged; the caller that reads it
    reports the error.

    Raises:
        ArgumentTypeError: a bare word that is not the name of a shipped configuration.
    """
    if Path(text).is_file():
        return text
    name = text.removeprefix("configs/").removesuffix(".yaml")
    for candidate in (SHIPPED / f"{name}.yaml", SHIPPED / kind / f"{name}.yaml"):
        if SHIPPED in candidate.parents and ".." not in candidate.parts and candidate.is_file():
            return str(candidate)
    if not re.fullmatch(r"[a-z0-9_-]+", text):
        return text
    raise argparse.ArgumentTypeError(
        f"{text!r} is neither a file nor a shipped configuration; shipped: {', '.join(shipped_names(kind))}"
    )


def config_of(kind: str) -> Callable[[str], str]:
    """`shipped_config` of one kind, as the `type` of an option."""

    def configuration(text: str) -> str:
        return shipped_config(kind, text)

    return configuration
