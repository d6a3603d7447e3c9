"""The program `fiat-color`, and `python -m fiat_color`."""

from typing import NoReturn

from pipeline.cli.ending import leave
from pipeline.commands import program

__all__ = ["main"]


def main() -> NoReturn:
    """Call the command of `sys.argv` and end with its exit status.

    Raises:
        SystemExit: always.
    """
    leave(program.main())


if __name__ == "__main__":
    main()
