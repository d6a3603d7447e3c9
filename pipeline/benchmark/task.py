"""What the scripts that are compared are told, and what they tell."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipeline.config.job import JobConfig
from pipeline.config.loading import load

DATE = "2026-01-01"
"""What all outputs state as their day, so that their bytes can be compared."""
SOURCE_DATE_EPOCH = "1767225600"


class Task(BaseModel):
    """Colour all of `source` into `output`; `overrides` as the job's --set."""

    source: Path
    output: Path
    workers: int
    overrides: list[str] = []

    def config(self) -> JobConfig:
        return load(JobConfig, None, list(self.overrides))

    def keys(self) -> list[str]:
        return sorted(path.name for path in self.source.iterdir())


class Said(BaseModel):
    """The last line of a script: when it began its first image and ended its last, seconds since the epoch.

    seconds, cpu_seconds: for one image on one core, of a script that measures and does not colour.
    """

    began: float = 0.0
    ended: float = 0.0
    seconds: float | None = None
    cpu_seconds: float | None = None
    parts: dict[str, Any] = {}


def read_task() -> Task:
    """From the script's one argument."""
    task = Task.model_validate_json(sys.argv[-1])
    task.output.mkdir(parents=True, exist_ok=True)
    return task


def read_said(log: Path) -> Said:
    """Of a script that has ended well."""
    return Said.model_validate_json(log.read_text().strip().splitlines()[-1])
