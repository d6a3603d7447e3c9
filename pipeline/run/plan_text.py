"""The text about a plan that the job prints before any work starts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pipeline.cli.counts import counted
from pipeline.config.job import JobConfig
from pipeline.plan.plan import Plan
from pipeline.records import ModelCard, Status
from pipeline.run.estimate import estimate_seconds
from pipeline.shard.job import Job


def plan_text(
    input: str, output: str, config: JobConfig, plan: Plan, digest: str, card: ModelCard | None = None
) -> str:
    """The plan as text: what is listed, done and to do, one line each."""
    done, rejected = sum(plan.done.values()), plan.done.get(Status.REJECTED, 0)
    kept = config.plan.recolor == "changed-settings"
    by_others = f", {plan.others:,} by another model" if plan.others else ""
    files, shards = counted(plan.todo_items, "file"), counted(len(plan.shards), "shard")
    work = f"to do    {files}, {_size(plan.todo_bytes)}, in {shards}"
    return "\n".join(
        [
            f"input    {input}: {counted(plan.items_listed, 'file')}, {_size(plan.bytes_listed)}"
            + (f", {plan.excluded:,} left out by patterns" if plan.excluded else ""),
            f"output   {output} (job digest {digest})",
            f"weights  {_weights(config, card)}",
            *([] if card is None else [_model_line(card)]),
            *plan.guidance.notices,
            f"done     {counted(done, 'file')} in the ledger"
            + failed_text(plan)
            + (f"{by_others} (--recolor changed-model does them again)" if kept and by_others else "")
            + (f", {plan.accepted:,} of them accepted by people" if plan.accepted else "")
            + (f", {rejected:,} of them rejected by people" if rejected else ""),
            work + (f", {plan.others:,} coloured before by another model" if not kept and by_others else ""),
            *_second_file_lines(plan),
            *_archived_lines(plan),
        ]
    )


def _weights(config: JobConfig, card: ModelCard | None) -> str:
    """The name or place of the weights, and their method."""
    place = (config.model.weights or "").partition("#")[0]
    ours = card is not None and card.contract_sha256 is None
    name = card.name if card is not None and ours else place or "none"
    return f"{name} ({config.model.method})"


def _model_line(card: ModelCard) -> str:
    return f"model    {card.name}, licence {card.terms}, from {card.source}"


def plan_fields(
    input: str, output: str, plan: Plan, digest: str, weights_sha256: str, card: ModelCard | None = None
) -> dict[str, Any]:
    """The same as fields, for programs."""
    return {
        "input": input,
        "output": output,
        "job_digest": digest,
        "weights_digest": weights_sha256,
        "listed": plan.items_listed,
        "listed_bytes": plan.bytes_listed,
        "done_before": sum(plan.done.values()),
        "failed_before": plan.done.get(Status.FAILED, 0),
        "by_other_models": plan.others,
        "accepted": plan.accepted,
        "todo": plan.todo_items,
        "todo_bytes": plan.todo_bytes,
        "second_files": plan.second_files,
        "archived": plan.archived_items,
        "archived_bytes": plan.archived_bytes,
        "shards": len(plan.shards),
        **({} if card is None else {"model": asdict(card)}),
    }


def failed_text(plan: Plan) -> str:
    """A clause on failed images of earlier runs; empty where there are none."""
    failed = plan.done.get(Status.FAILED, 0)
    return f", {failed:,} of them failed (--set plan.retry_failed=true tries them again)" if failed else ""


def _second_file_lines(plan: Plan) -> list[str]:
    """A line on finished images that only get a second file; empty if there are none."""
    if not plan.second_files:
        return []
    return [f"         {plan.second_files:,} of these are finished and only get a second file"]


def _archived_lines(plan: Plan) -> list[str]:
    """A line on objects that must be restored first; empty if there are none."""
    if not plan.archived_items:
        return []
    count, size = counted(plan.archived_items, "file"), _size(plan.archived_bytes)
    return [f"archived {count} of these, {size}: restore them, and the next run will colour them"]


def estimate_text(job: Job, plan: Plan) -> str:
    """A line with the estimated time. Colours a few images to measure it."""
    if not plan.shards:
        return "time     nothing to do"
    estimate = estimate_seconds(job, plan)
    return f"time     about {estimate.seconds:,.0f} s: {estimate.basis}"


def _size(count: int) -> str:
    """Format a number of bytes for a person: 1.5 GB."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
