"""Combine predicted chroma with a photograph's own lightness: compiled loops on CPU, torch elsewhere."""

from pipeline.shard.compose.composer import (
    DEFAULT_SETTINGS,
    Compose,
    Composed,
    Composer,
    ComposeSettings,
    Measurer,
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
    "Measurer",
    "Measures",
    "compose",
    "measure",
]
