"""What every worker of a run must know."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config import JobConfig


@dataclass(frozen=True)
class Job:
    """One run: travels to every worker once. date: the UTC day it began, YYYY-MM-DD; outputs state it."""

    config: JobConfig
    input: str
    output: str
    run_id: str
    job_digest: str
    weights_digest: str
    date: str | None = None
