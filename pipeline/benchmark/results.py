"""The results in one file: runs add to it, tables read it, and a stopped benchmark continues from it."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline import IMPORT_ROOT
from pipeline.config.section import Section
from pipeline.engine.machine import cores
from pipeline.errors import ConfigError
from pipeline.report.summary import software_versions


class Cell(Section):
    """The same work for all contenders: `count` photographs of one size on `workers` workers of one core."""

    size: str
    count: int
    workers: int


class Run(Section):
    """One contender in one cell, once. Times in seconds, memory in bytes.

    start_seconds: from the command's start until it begins its first image; run_seconds: from then until its
    last image is written; cpu_run_seconds: of all its processes in that time; wall_seconds, cpu_seconds: of
    the whole command; other_cores: what the rest of the machine took of the cores meanwhile; digest: of all
    outputs.
    """

    cell: Cell
    contender: str
    round: int
    megapixels: float
    start_seconds: float
    run_seconds: float
    wall_seconds: float
    cpu_run_seconds: float
    cpu_seconds: float
    peak_rss: int
    other_cores: float
    digest: str | None = None
    gpus: int = 0
    commit: str = ""
    at: str = ""


class StageTime(Section):
    """One stage alone on one core: the least CPU seconds of several calls for one image of `megapixels`."""

    stage: str
    size: str
    megapixels: float
    cpu_seconds: float


class TrainingRate(Section):
    """One trainer of one thread, once, bound to `cores` cores. data_wait: share of the time in which steps
    waited for photographs."""

    contender: str
    round: int
    cores: int = 1
    images_per_second: float
    data_wait: float | None = None
    other_cores: float


class Results(BaseModel):
    """All results of one machine, one set of versions and one configuration."""

    model_config = ConfigDict(extra="forbid")

    machine: dict[str, str]
    versions: dict[str, str]
    settings: dict[str, str]
    commands: list[str] = []
    dates: list[str] = []
    runs: list[Run] = []
    stages: list[StageTime] = []
    cold_start: dict[str, float] = {}
    training: list[TrainingRate] = []

    def of(self, cell: Cell, contender: str) -> list[Run]:
        """The rounds of one contender in one cell."""
        return [run for run in self.runs if run.cell == cell and run.contender == contender]

    def has(self, cell: Cell, contender: str, round_: int) -> bool:
        return any(run.round == round_ for run in self.of(cell, contender))

    def save(self, path: Path) -> None:
        """Whole or not at all."""
        partial = path.with_suffix(".part")
        partial.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        partial.rename(path)


def open_results(path: Path, settings: dict[str, str]) -> Results:
    """What the file holds, or nothing yet.

    Raises:
        ConfigError: it was measured on another machine, with other versions or other settings, or is no
            such file: figures that cannot be compared do not share a table.
    """
    fresh = Results(machine=machine(), versions=versions(), settings=settings)
    if not path.exists():
        return fresh
    earlier = read_results(path)
    for name in ("machine", "versions", "settings"):
        if getattr(earlier, name) != getattr(fresh, name):
            raise ConfigError(f"{path} was measured with another {name}; give another --folder or remove it")
    return earlier


def read_results(path: Path) -> Results:
    """Raises ConfigError where the file is missing or no results."""
    try:
        return Results.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; measure first") from None
    except ValidationError as error:
        raise ConfigError(f"{path} holds no results of this benchmark: {error.errors()[0]['msg']}") from None


def machine() -> dict[str, str]:
    """The processor, its cores that may be used, memory, accelerators."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "processor": _processor(),
        "cores": str(cores()),
        "memory": f"{memory / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        "gpus": ", ".join(gpus) or "none",
        "bf16": "yes" if torch.cpu._is_avx512_bf16_supported() else "no",
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    model = fields.get("model name", platform.processor() or "unknown")
    family = "/".join(fields[name] for name in ("cpu family", "model") if name in fields)
    return f"{model} (family/model {family})" if family else model


def versions() -> dict[str, str]:
    """Of this project and of what is compared with."""
    return software_versions() | {name: metadata.version(name) for name in ("scikit-image", "numba")}


def commit() -> str:
    """The version of the code that is measured, with a + where files differ from it; empty outside git."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=IMPORT_ROOT, capture_output=True, text=True, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    head = git("rev-parse", "--short=10", "HEAD")
    changed = git("status", "--porcelain", "--untracked-files=no", "--", "pipeline", "jobs", "configs")
    return head + ("+" if head and changed else "")
