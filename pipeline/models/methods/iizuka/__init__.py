"""Iizuka, Simo-Serra and Ishikawa, "Let there be Color!", SIGGRAPH 2016."""

from pipeline.models.methods.iizuka.model import IizukaColorizer
from pipeline.models.methods.iizuka.spaces import AB_RANGE

__all__ = ["AB_RANGE", "IizukaColorizer"]
