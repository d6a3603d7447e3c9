"""Places on the command line: `--input IN --output OUT`, or the positional form `IN OUT`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field


@dataclass
class Places:
    """The places that a command takes, in the order of their positional form.

    Attributes:
        names: their options, without the dashes.
        many: whether the first place takes several values; it is then a list.
        required: the places that must be given.
    """

    names: tuple[str, ...]
    many: bool = False
    required: tuple[str, ...] = field(default=())

    def assign(self, args: argparse.Namespace, typed: list[str]) -> str | None:
        """Assign the positional arguments `typed` to the places that have no value yet.

        Return an error message, or None if all is well.
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
