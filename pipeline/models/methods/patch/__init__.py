"""Cheng, Yang and Sheng, "Deep Colorization", ICCV 2015: each pixel by itself, by what is known of it."""

from pipeline.models.methods.patch.model import PatchColorizer

__all__ = ["PatchColorizer"]
