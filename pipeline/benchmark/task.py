"""The task that a contender's script receives as JSON, and the report that it prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pydantic import Field

from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.config.section import Section

DATE = "2026-01-01"
"""The date in all outputs, so that their bytes can be compared."""
SOURCE_DATE_EPOCH = "1767225600"


class Task(Section):
    """Colour all of `source` into `output`; `overrides` as the job's --set."""

    source: Path
    output: Path
    workers: int
    overrides: tuple[str, ...] = ()

    def config(self) -> JobConfig:
        return load(JobConfig, None, ["report.gallery=false", *self.overrides])  # what is compared has none

    def keys(self) -> list[str]:
        return sorted(path.name for path in self.source.iterdir())


class ScriptReport(Section):
    """The last line that a script prints.

    began, ended: start of the first and end of the last image, seconds since the epoch; seconds, cpu_seconds:
    for one image on one core, of a script that measures and does not colour.
    """

    began: float = 0.0
    ended: float = 0.0
    seconds: float | None = None
    cpu_seconds: float | None = None
    parts: dict[str, Any] = Field(default_factory=dict)


def read_task() -> Task:
    """The script's one argument."""
    task = Task.model_validate_json(sys.argv[-1])
    task.output.mkdir(parents=True, exist_ok=True)
    return task


def read_report(log: Path) -> ScriptReport:
    """The report of a script that has ended without an error."""
    return ScriptReport.model_validate_json(log.read_text().strip().splitlines()[-1])
