"""Fiat Color for programs: five names to colour photographs with, and to read what became of them.

    from fiat_color import Ledger, colorize

    summary = colorize("scans/", "colored/", weights="vivid")
    table = Ledger("colored/").to_pandas()

What a user does wrong raises a `pipeline.errors.FiatColorError` of one line. docs/python.md has more.
"""

from fiat_color.images import Weights, colorize_image
from fiat_color.ledger import Ledger
from fiat_color.runs import colorize, verify
from pipeline import __version__

__all__ = ["Ledger", "Weights", "__version__", "colorize", "colorize_image", "verify"]
