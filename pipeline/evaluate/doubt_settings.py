"""The configuration of `jobs/doubt.py`."""

from __future__ import annotations

from pydantic import Field

from pipeline.config.section import Section
from pipeline.config.storage import StorageConfig
from pipeline.evaluate.settings import OWN


class DoubtSection(Section):
    """Which photographs, and how they are seen."""

    photographs: int = Field(4000, ge=30, description="evenly spaced ones of the input")
    training: int = Field(2000, ge=30, description="evenly spaced ones of the training photographs")
    side: int = Field(256, ge=32, le=4096, description="short side they are scaled down to, pixels")
    split: str = Field("val", description="of training Parquet; of other Parquet, how the files' names start")
    training_split: str = Field("train", description="likewise, of the training photographs")
    groups: tuple[str, ...] = Field((), description="photographs of these sources only; none: all")
    plates: tuple[str, ...] = Field(
        (OWN,), min_length=1, description="what networks see: own lightness, or pictures by manifest column"
    )
    look: bool | None = Field(
        None,
        description="judge also by a second look at half the size, for a quarter more time; null: where the "
        "network has neither features nor bins",
    )
    pixels: int = Field(100_000_000, ge=1, description="larger photographs are left out")
    resamples: int = Field(1000, ge=100, description="of the bootstrap over photographs")
    seed: int = Field(0, ge=0, description="of the bootstrap")


class DoubtConfig(Section):
    """All settings of `jobs/doubt.py` besides weights and photographs."""

    doubt: DoubtSection = DoubtSection()
    storage: StorageConfig = StorageConfig()
