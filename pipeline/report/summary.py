"""The record of one run, as summary.json."""

from __future__ import annotations

import platform
from importlib import metadata

from pydantic import Field

from pipeline import __version__
from pipeline.config.section import Section
from pipeline.records import ModelCard
from pipeline.report.doubtful import DoubtCounts
from pipeline.report.drift import Chroma


class Example(Section):
    """One failed image."""

    key: str
    message: str


class FailureGroup(Section):
    """All images of this run that failed under one code."""

    count: int = Field(ge=1)
    advice: str
    examples: tuple[Example, ...]


class Seconds(Section):
    """Wall-clock seconds of the run's phases. `load`: from the start of the command to the start of planning,
    mostly Python's imports; `start`: starting Ray and the workers; `total`: all of them."""

    load: float = 0.0
    plan: float = 0.0
    start: float = 0.0
    run: float = 0.0
    close: float = 0.0
    total: float = 0.0


class StageSeconds(Section):
    """Sums over all images and workers, so with several workers more than the wall-clock time."""

    decode: float = 0.0
    predict: float = 0.0
    compose: float = 0.0


class Balance(Section):
    """How busy both sides of a staged run were, in [0, 1], and the ratio at which both would be equally busy.

    predict_busy: share of the run that the predict actors worked; cpu_busy: that of the CPUs around them;
    cpus_per_predictor: CPUs that decode and compose as fast as one predict actor colours.
    """

    predict_busy: float = Field(ge=0)
    cpu_busy: float = Field(ge=0)
    cpus: int
    predictors: int
    cpus_per_predictor: float = Field(ge=0)

    @property
    def bottleneck(self) -> str:
        """The side that the other one waits for."""
        return "predict" if self.predict_busy >= self.cpu_busy else "decode and compose"


def balance(stages: StageSeconds, run_seconds: float, cpus: int, predictors: int) -> Balance | None:
    """The balance from seconds summed over workers; None if nothing was predicted. `cpus`: for the tasks."""
    if stages.predict <= 0 or run_seconds <= 0:
        return None
    around = stages.decode + stages.compose
    return Balance(
        predict_busy=stages.predict / run_seconds / max(predictors, 1),
        cpu_busy=around / run_seconds / max(cpus, 1),
        cpus=cpus,
        predictors=predictors,
        cpus_per_predictor=around / stages.predict,
    )


class Cost(Section):
    """What the workers held from the start of Ray to the end of the work; `money` is None without prices."""

    core_hours: float = Field(ge=0)
    gpu_hours: float = Field(ge=0)
    money: float | None = Field(None, ge=0)


class Summary(Section):
    """The content of summary.json. Counts are for this run only, unless their name says `before`."""

    run_id: str
    job_digest: str
    input: str
    output: str
    method: str
    weights_digest: str
    precision: str
    topology: str
    engine: str = Field("ray", description="what started the workers: ray or processes")
    workers: int
    listed: int = Field(ge=0, description="files under the input, after include and exclude")
    bytes: int = Field(ge=0, description="their bytes")
    done_before: int = Field(ge=0, description="already in the ledger of this job digest")
    failed_before: int = Field(0, ge=0, description="of done_before: rows that say failed")
    todo: int = Field(ge=0, description="files this run set out to do")
    counts: dict[str, int] = Field(description="rows of this run by status")
    guided: int = Field(0, ge=0, description="of the colorized: with scribbles, a reference or another guide")
    second_files: int = Field(
        0, ge=0, description="of the colorized: finished before, only got a second file"
    )
    failures: dict[str, FailureGroup] = Field(default_factory=dict, description="by failure code")
    images_per_second: float | None = Field(None, description="colorized images by seconds.run; null: none")
    seconds: Seconds = Seconds()
    stage_seconds: StageSeconds = StageSeconds()
    balance: Balance | None = Field(None, description="of a staged run; null: fused, or nothing predicted")
    cost: Cost | None = None
    max_delta_l: float | None = Field(None, description="worst |L* out - L* in| of any pixel; null: none")
    chroma: Chroma | None = Field(
        None, description="how colourful the images are; null: none without a guide"
    )
    doubt: DoubtCounts | None = Field(
        None, description="which results to look at first; null: report.doubt=false, or nothing is known"
    )
    exit_status: int = Field(description="0 done, 3 finished with failed images, 4 with too many")
    finished_at: str = Field(description="ISO 8601, UTC")
    versions: dict[str, str] = Field(default_factory=dict)
    model: ModelCard | None = Field(
        None, description="whose weights coloured; null: weights of the user's own"
    )


def software_versions() -> dict[str, str]:
    """Versions of this project, Python and the packages that affect results or behaviour."""
    packages = ("ray", "torch", "pillow", "numpy", "pyarrow", "boto3")
    return {
        "fiat-color": __version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in packages},
    }


def summary_json(summary: Summary) -> bytes:
    """The bytes of summary.json; `Summary.model_validate_json` reads them back."""
    return summary.model_dump_json(indent=2).encode() + b"\n"
