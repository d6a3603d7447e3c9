"""Cheng, Yang and Sheng, "Deep Colorization", ICCV 2015: each pixel by itself, by what is known of it."""

from pipeline.models.patch.model import PatchColorizer

__all__ = ["PatchColorizer"]
