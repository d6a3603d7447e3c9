"""Colour from a similar picture, by superpixels (Gupta et al. 2012) or by pixels (Welsh et al. 2002)."""

from pipeline.models.methods.reference.model import ReferenceColorizer, WelshColorizer

__all__ = ["ReferenceColorizer", "WelshColorizer"]
