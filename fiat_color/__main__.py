"""The program `fiat-color`, and `python -m fiat_color`."""

import sys

from pipeline.commands.program import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
