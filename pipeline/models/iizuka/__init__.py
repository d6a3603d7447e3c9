"""Iizuka, Simo-Serra and Ishikawa, "Let there be Color!", SIGGRAPH 2016."""

from pipeline.models.iizuka.model import AB_RANGE, NORMALISATION, IizukaColorizer

__all__ = ["AB_RANGE", "NORMALISATION", "IizukaColorizer"]
