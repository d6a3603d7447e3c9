"""Lay predicted chroma over a photograph's own lightness: compiled loops on a CPU, torch on other devices."""

from pipeline.shard.compose.composer import (
    DEFAULT_SETTINGS,
    Compose,
    Composed,
    Composer,
    ComposeSettings,
    Measures,
    compose,
    measure,
)

__all__ = [
    "DEFAULT_SETTINGS",
    "Compose",
    "ComposeSettings",
    "Composed",
    "Composer",
    "Measures",
    "compose",
    "measure",
]
