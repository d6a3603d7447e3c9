"""Fiat Color for programs: colour archives of black-and-white photographs, and read what became of them."""

from pipeline import __version__

__all__ = ["__version__"]
