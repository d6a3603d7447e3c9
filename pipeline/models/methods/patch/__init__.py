"""Cheng, Yang and Sheng, "Deep Colorization", ICCV 2015: each pixel by itself, from its features."""

from pipeline.models.methods.patch.model import PatchColorizer

__all__ = ["PatchColorizer"]
