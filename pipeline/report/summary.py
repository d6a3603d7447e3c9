"""The record of one run, as summary.json and as lines for a terminal."""

from __future__ import annotations

import platform
from importlib import metadata

from pydantic import Field

from pipeline import __version__
from pipeline.cli.words import duration
from pipeline.config.section import Section
from pipeline.errors import (
    EXIT_DONE,
    EXIT_FAILED_IMAGES,
    EXIT_TOO_MANY_FAILED,
    EXIT_UNFINISHED,
    EXIT_USAGE,
    FailureCode,
)
from pipeline.records import Status
from pipeline.report.drift import Chroma

#: What a person does about each failure; the README's troubleshooting table says the same.
ADVICE: dict[str, str] = {
    FailureCode.NOT_AN_IMAGE: "Its name says image, its content does not: fix it, or plan.exclude it.",
    FailureCode.UNSUPPORTED: "Convert it to TIFF, PNG or JPEG.",
    FailureCode.CORRUPT: "The file is damaged: restore it from a backup or scan it again.",
    FailureCode.TRUNCATED: "The file ends too early: copy it again.",
    FailureCode.TOO_LARGE: "Raise limits.pixels (and limits.memory) if the size is meant.",
    FailureCode.OUT_OF_MEMORY: "Raise limits.memory, or use fewer run.workers on this machine.",
    FailureCode.TIMEOUT: "Raise limits.seconds if the file is worth the wait.",
    FailureCode.DECODER_CRASHED: "The file crashes the decoder: convert it with other software first.",
    FailureCode.SOURCE_MISSING: "It was deleted or renamed during the run: run again.",
    FailureCode.SOURCE_DENIED: "Give the job's credentials read access to this object.",
    FailureCode.SOURCE_CHANGED: "It was replaced during the run: run again.",
    FailureCode.GUIDE_INVALID: "Its guide is damaged, does not fit it or holds nothing: docs/guided.md.",
    FailureCode.BAD_KEY: "Rename the object: its name cannot be an output file's name.",
    FailureCode.OUTPUT_COLLISION: "Two sources would have the same output name: rename one.",
    FailureCode.ENCODE_FAILED: "The output format cannot hold it: choose another output.format.",
    FailureCode.WORKER_LOST: "Its worker died, often of memory: fewer run.workers, plan.retry_failed=true.",
    FailureCode.INTERNAL_ERROR: "A defect of Fiat Color: report it, with the file if you may share it.",
}

EXIT_MEANING = {
    EXIT_DONE: "everything is done",
    EXIT_UNFINISHED: "the run did not finish; what is in the ledger stays, run the same command again",
    EXIT_USAGE: "bad usage or configuration",
    EXIT_FAILED_IMAGES: "finished, but some images failed",
    EXIT_TOO_MANY_FAILED: "finished, but a larger share of images failed than run.max_failed allows",
}

_LABELS = {
    Status.COLORIZED: "coloured",
    Status.SKIPPED_COLOR: "left alone, in colour already",
    Status.SKIPPED_OTHER: "left alone, not images",
    Status.FAILED: "failed",
}


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
    """Wall-clock seconds of the run's phases; `start` is Ray and the workers coming up."""

    plan: float = 0.0
    start: float = 0.0
    run: float = 0.0
    close: float = 0.0
    total: float = 0.0


class StageSeconds(Section):
    """Sums over all images and workers, so more than the wall clock where workers are several."""

    decode: float = 0.0
    predict: float = 0.0
    compose: float = 0.0


class Balance(Section):
    """Of a staged run: how busy both sides were, in [0, 1], and the ratio at which they would be equally so.

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
        """The side that the other waits for."""
        return "predict" if self.predict_busy >= self.cpu_busy else "decode and compose"


def balance(stages: StageSeconds, run_seconds: float, cpus: int, predictors: int) -> Balance | None:
    """From seconds summed over workers; None where nothing was predicted. `cpus`: those left to the tasks."""
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
    """What the workers held from the start of Ray to the end of the work; `money` is None without a price."""

    core_hours: float = Field(ge=0)
    gpu_hours: float = Field(ge=0)
    money: float | None = Field(None, ge=0)


class Summary(Section):
    """Everything that summary.json says. Counts are of this run alone unless their name says `before`."""

    run_id: str
    job_digest: str
    input: str
    output: str
    method: str
    weights_digest: str
    precision: str
    topology: str
    workers: int
    listed: int = Field(ge=0, description="objects under the input, after include and exclude")
    bytes: int = Field(ge=0, description="their bytes")
    done_before: int = Field(ge=0, description="already in the ledger of this job digest")
    failed_before: int = Field(0, ge=0, description="of done_before: rows that say failed")
    todo: int = Field(ge=0, description="objects this run set out to do")
    counts: dict[str, int] = Field(description="rows of this run by status")
    guided: int = Field(0, ge=0, description="of the colorized: by scribbles, a reference or the like")
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
    exit_status: int = Field(description="0 done, 3 finished with failed images, 4 with too many")
    finished_at: str = Field(description="ISO 8601, UTC")
    versions: dict[str, str] = Field(default_factory=dict)


def software_versions() -> dict[str, str]:
    """Versions of this project, Python and the packages that shape results or behaviour."""
    packages = ("ray", "torch", "pillow", "numpy", "pyarrow", "boto3")
    return {
        "fiat-color": __version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in packages},
    }


def summary_json(summary: Summary) -> bytes:
    """The bytes of summary.json; `Summary.model_validate_json` reads them back."""
    return summary.model_dump_json(indent=2).encode() + b"\n"


def summary_key(run_id: str) -> str:
    """Where summary.json stands below OUT."""
    return f"runs/{run_id}/summary.json"


def summary_text(summary: Summary, report: bool = True) -> str:
    """The summary for a person at a terminal: plain lines, without colour codes.

    Args:
        report: whether this run wrote a contact sheet to point to.
    """
    lines = [headline(summary), ""]
    if summary.todo:
        lines += [*_counts(summary), *_failures(summary), *_speed(summary), ""]
    if summary.failed_before:
        lines += [
            f"{summary.failed_before:,} images failed in earlier runs; to try them again: "
            "--set plan.retry_failed=true",
            "",
        ]
    lines += [*_places(summary, report), ""]
    meaning = EXIT_MEANING.get(summary.exit_status, "unknown")
    return "\n".join([*lines, f"Exit status {summary.exit_status}: {meaning}."])


def headline(summary: Summary) -> str:
    """One line: what was done of what, in which time, and what failed."""
    if not summary.listed:
        return f"Nothing to do: there is nothing under {summary.input}."
    if not summary.todo:
        return (
            f"Nothing to do: all {summary.listed:,} objects under {summary.input} are in the ledger already."
        )
    coloured, failed = summary.counts.get(Status.COLORIZED, 0), summary.counts.get(Status.FAILED, 0)
    tail = f"; {failed:,} failed" if failed else ""
    return f"Coloured {coloured:,} of {summary.todo:,} in {duration(summary.seconds.total)}{tail}."


def _counts(summary: Summary) -> list[str]:
    rows = [(label, summary.counts.get(status, 0)) for status, label in _LABELS.items()]
    rows.insert(1, ("of these with guides", summary.guided))
    rows.append(("done in earlier runs", summary.done_before))
    return [f"  {label:<30}{count:>12,}" for label, count in rows if count or label == "coloured"]


def _failures(summary: Summary) -> list[str]:
    lines = []
    for code, group in summary.failures.items():
        lines += ["", f"  {code}: {group.count:,}. {group.advice}"]
        lines += [f"    {example.key}: {example.message}" for example in group.examples]
        if group.count > len(group.examples):
            lines.append(f"    ... and {group.count - len(group.examples):,} more in the ledger")
    return lines


def _speed(summary: Summary) -> list[str]:
    seconds, stages = summary.seconds, summary.stage_seconds
    per_second = f"{summary.images_per_second:.2f} images/s" if summary.images_per_second else "no images"
    workers = f"{summary.workers} worker{'s' if summary.workers != 1 else ''}"
    lines = [
        "",
        f"Speed   {per_second} on {workers}, {summary.topology}, {summary.precision}",
        f"        plan {seconds.plan:.1f} s, start {seconds.start:.1f} s, run {seconds.run:.1f} s, "
        f"close {seconds.close:.1f} s",
        f"        in the workers: decode {stages.decode:.1f} s, predict {stages.predict:.1f} s, "
        f"compose and write {stages.compose:.1f} s",
    ]
    if summary.balance is not None:
        lines.append(f"Balance {_balance(summary.balance)}")
    if summary.cost is not None:
        cost = summary.cost
        money = "" if cost.money is None else f", {cost.money:,.2f} at the configured prices"
        lines.append(f"Cost    {cost.core_hours:.3f} core-hours, {cost.gpu_hours:.3f} GPU-hours{money}")
    if summary.chroma is not None:
        lines.append(f"Chroma  {_chroma(summary.chroma)}")
    if summary.max_delta_l is not None:
        lines.append(
            f"Detail  the lightness of no pixel moved by more than {summary.max_delta_l:.2f} L* (of 100)"
        )
    return lines


def _balance(found: Balance) -> str:
    return (
        f"{found.bottleneck} is the bottleneck: {found.predictors} predict worker(s) "
        f"{found.predict_busy:.0%} busy, {found.cpus} CPU(s) around them {found.cpu_busy:.0%}; "
        f"{found.cpus_per_predictor:.1f} CPUs for each would keep both busy"
    )


def _chroma(chroma: Chroma) -> str:
    said = f"mean {chroma.mean:.1f} C*, colourfulness {chroma.colorfulness:.1f}"
    if chroma.drift is None:
        return said
    return f"{said}; drift {chroma.drift:+.2f} from the usual {chroma.reference_mean:.1f}"


def _places(summary: Summary, report: bool) -> list[str]:
    out = summary.output.rstrip("/")
    places = [("Images", f"{out}/images/"), ("Ledger", f"{out}/ledger/{summary.job_digest}/")]
    if report:
        at = f"{out}/runs/{summary.run_id}/report"
        places += [("Look", f"{at}/contact-sheet.png"), ("", f"{at}/index.html")]
    return [f"{label:<8}{place}" for label, place in places]
