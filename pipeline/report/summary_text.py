"""The summary of a run for a person at a terminal."""

from __future__ import annotations

import shlex

from pipeline.cli.counts import counted
from pipeline.cli.durations import duration
from pipeline.ledger.keys import GALLERY, IMAGES, ledger_folder, page_key, sheet_key
from pipeline.records import Status
from pipeline.report.advice import EXIT_MEANING
from pipeline.report.doubtful import DoubtCounts, reason_text
from pipeline.report.drift import Chroma
from pipeline.report.summary import Balance, Summary

_LABELS = {
    Status.COLORIZED: "coloured",
    Status.SKIPPED_COLOR: "unchanged, already in colour",
    Status.SKIPPED_OTHER: "unchanged, not images",
    Status.FAILED: "failed",
    Status.ARCHIVED: "archived, to be restored",
}

_NAMED = 3  # most doubtful results to name; summary.json and the page have more


def summary_text(summary: Summary, report: bool = True, gallery: bool = False) -> str:
    """The summary for a person at a terminal: plain lines, without colour codes.

    Args:
        report: whether this run wrote a contact sheet to point to.
        gallery: whether this run updated the gallery; if not, the text says how to get it.
    """
    lines = [headline(summary), ""]
    if summary.todo:
        lines += [*_counts(summary), *_archived(summary), *_failures(summary), *_speed(summary), ""]
    if summary.failed_before:
        lines += [
            f"{counted(summary.failed_before, 'image')} failed in earlier runs; to try them again: "
            "--set plan.retry_failed=true",
            "",
        ]
    lines += [*_places(summary, report, gallery), ""]
    meaning = EXIT_MEANING.get(summary.exit_status, "unknown")
    return "\n".join([*lines, f"Exit status {summary.exit_status}: {meaning}."])


def headline(summary: Summary) -> str:
    """One line: how much was done in which time, what failed, and what is archived."""
    if not summary.listed:
        return f"Nothing to do: {summary.input} contains no files."
    if not summary.todo:
        files = f"{counted(summary.listed, 'file')} under {summary.input}"
        return f"Nothing to do: all {files} are in the ledger already."
    coloured = summary.counts.get(Status.COLORIZED, 0) - summary.second_files
    failed, second = summary.counts.get(Status.FAILED, 0), summary.second_files
    archived = summary.counts.get(Status.ARCHIVED, 0)
    tail = f"; made the second {'file' if second == 1 else 'files'} of {second:,}" if second else ""
    tail += (f"; {failed:,} failed" if failed else "") + (f"; {archived:,} archived" if archived else "")
    of_all, seconds = counted(summary.todo, "file"), duration(summary.seconds.total)
    return f"Coloured {coloured:,} of {of_all} in {seconds}{tail}."


def _counts(summary: Summary) -> list[str]:
    rows = [(label, summary.counts.get(status, 0)) for status, label in _LABELS.items()]
    rows[1:1] = [
        ("of these with guides", summary.guided),
        ("of these only second files", summary.second_files),
    ]
    rows.append(("done in earlier runs", summary.done_before))
    return [f"  {label:<30}{count:>12,}" for label, count in rows if count or label == "coloured"]


def _archived(summary: Summary) -> list[str]:
    if not (count := summary.counts.get(Status.ARCHIVED, 0)):
        return []
    advice = "Restore them in S3 (s3:RestoreObject); the next run will colour them."
    return ["", f"  archived: {count:,} in a Glacier class. {advice}"]


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
        f"Speed   {per_second} on {workers} ({summary.topology} topology, {summary.precision} precision)",
        f"        load {seconds.load:.1f} s, plan {seconds.plan:.1f} s, start {seconds.start:.1f} s, "
        f"run {seconds.run:.1f} s, close {seconds.close:.1f} s",
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
    if summary.doubt is not None:
        lines.append(f"Doubt   {doubt_text(summary.doubt)}")
    if summary.max_delta_l is not None:
        lines.append(
            f"Detail  the lightness of every pixel changed by at most {summary.max_delta_l:.2f} L* (of 100)"
        )
    return lines


def _balance(balance: Balance) -> str:
    return (
        f"{balance.bottleneck} is the bottleneck: {balance.predictors} predict worker(s) "
        f"{balance.predict_busy:.0%} busy, {balance.cpus} CPU(s) for other tasks {balance.cpu_busy:.0%}; "
        f"{balance.cpus_per_predictor:.1f} CPUs per predict worker would keep both busy"
    )


def _chroma(chroma: Chroma) -> str:
    means = f"mean {chroma.mean:.1f} (0 is gray), colourfulness {chroma.colorfulness:.1f}"
    if chroma.drift is None:
        return means
    less = "less" if chroma.drift < 0 else "more"
    usual = f"usually {chroma.reference_mean:.1f}"
    return f"{means}; {usual}: this run has {less}, by {abs(chroma.drift):.2f} of the usual spread"


def doubt_text(doubt: DoubtCounts) -> str:
    """Which results to look at first, and why."""
    sentences = []
    if doubt.most:
        names = ", ".join(one.key for one in doubt.most[:_NAMED])
        sentences.append(f"Look first at: {names} (most doubtful).")
    if doubt.worst_tenth:
        are = "is" if doubt.worst_tenth == 1 else "are"
        sentences.append(
            f"{doubt.worst_tenth:,} of {doubt.known:,} {are} as doubtful as the worst tenth of photographs."
        )
    for name, count in doubt.reasons.items():
        are = "is" if count == 1 else "are"
        sentences.append(f"{counted(count, 'picture')} {are} {reason_text(name)}.")
    return " ".join(sentences)


def _places(summary: Summary, report: bool, gallery: bool) -> list[str]:
    out, run_id = summary.output.rstrip("/"), summary.run_id
    places = [("Images", IMAGES), ("Ledger", ledger_folder(summary.job_digest))]
    if report:
        places += [("Look", sheet_key(run_id)), ("", page_key(run_id))]
    if gallery:
        places.append(("Gallery", f"{GALLERY}index.html"))
    lines = [f"{label:<8}{out}/{key}" for label, key in places]
    if gallery:
        lines.append(
            f"        to accept, reject and correct there: fiat-color review {shlex.quote(out)} --serve"
        )
    elif summary.listed:
        lines.append(f"Gallery all pictures, before and after: fiat-color review {shlex.quote(out)}")
    if (model := summary.model) is not None:
        lines.append(f"Model   {model.name}, licence {model.terms}, from {model.source}")
    return lines
