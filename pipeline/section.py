"""The base of every section of every configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of all configuration models: immutable, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")
