"""Places on the command line: `--input IN --output OUT`, or both without their names, `IN OUT`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field


@dataclass
class Places:
    """The places that a command takes, in the order in which they are typed without names.

    Attributes:
        names: their options, without the dashes.
        many: whether the first may be several; it is a list then.
        required: those without which the command does nothing.
    """

    names: tuple[str, ...]
    many: bool = False
    required: tuple[str, ...] = field(default=())

    def assign(self, args: argparse.Namespace, typed: list[str]) -> str | None:
        """Give the words `typed` without an option to the places that have none.

        Returns what is wrong, None where nothing is.
        """
        free = [name for name in self.names if getattr(args, name) is None]
        if self.many and free[:1] == [self.names[0]] and len(typed) > len(free):
            behind = len(free) - 1
            several, typed = typed[: len(typed) - behind], typed[len(typed) - behind :]
            setattr(args, free.pop(0), several)
        if len(typed) > len(free):
            return f"unrecognized arguments: {' '.join(typed[len(free) :])}"
        for name, word in zip(free, typed, strict=False):
            setattr(args, name, word)
        missing = [f"--{name}" for name in self.required if getattr(args, name) is None]
        return f"the following arguments are required: {', '.join(missing)}" if missing else None
