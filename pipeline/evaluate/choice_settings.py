"""The configuration of `jobs/choose_decoding.py`."""

from __future__ import annotations

from pydantic import Field, model_validator

from pipeline.config.section import Section
from pipeline.config.storage import StorageConfig
from pipeline.training.sections import DataConfig


class ChoiceSection(Section):
    """What is tried, and on how many photographs."""

    photographs: int = Field(
        400, ge=30, description="evenly spaced ones of those set aside, at least as large as `side`"
    )
    side: int = Field(128, ge=64, le=512, multiple_of=32, description="of the middle squares, pixels")
    old_light: float = Field(0.5, ge=0, le=1, description="share of old prints in what is judged")
    damage: float = Field(0.2, ge=0, le=1, description="of the old prints, the share that is damaged")
    values: dict[str, tuple[float, ...]] = Field(
        {
            "blend": (0.0, 0.25, 0.5, 0.75, 1.0),
            "temperature": (0.2, 0.38, 0.6),
            "gain": (1.0, 1.15, 1.3, 1.5),
        },
        description="by what the network's decoding takes",
    )
    resamples: int = Field(1000, ge=100, description="of the bootstrap over photographs")
    seed: int = Field(0, ge=0, description="of old prints and of the bootstrap")

    @model_validator(mode="after")
    def _some(self) -> ChoiceSection:
        if not all(self.values.values()):
            raise ValueError("every one of choice.values needs at least one value")
        return self


class ChoiceConfig(Section):
    """All settings of `jobs/choose_decoding.py` besides weights and photographs."""

    choice: ChoiceSection = ChoiceSection()
    data: DataConfig = DataConfig()
    storage: StorageConfig = StorageConfig()
