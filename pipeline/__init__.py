"""Fiat Color: colour for archives of black-and-white photographs, as a distributed batch job on Ray."""

__version__ = "0.1.0"
