"""Format a decision of the gate as a Markdown report, and the history of a registry as text."""

from __future__ import annotations

from pipeline.models.registry_entries import Difference, Evaluation, RegistryEntry


def decision_markdown(title: str, facts: dict[str, str], evaluation: Evaluation) -> str:
    """The report of one decision: its outcome as the title, what was compared, and every metric's row."""
    lines = [
        f"# {title}",
        "",
        *(f"- {name}: {fact}" for name, fact in facts.items()),
        f"- photographs: {evaluation.photographs} of {evaluation.photos}, short side {evaluation.short_side}",
        f"- intervals: {evaluation.confidence:.0%}, percentile bootstrap over photographs, "
        f"{evaluation.resamples:,} resamples, seed {evaluation.seed}",
        "",
        "| metric | better is | challenger | compared with | difference | interval | tolerance | verdict |",
        "|---|---|---:|---|---:|---|---:|---|",
        *map(_row, evaluation.differences),
    ]
    return "\n".join(lines) + "\n"


def why_not(differences: tuple[Difference, ...]) -> str:
    """The reasons why the gate refuses, in one line."""
    reasons = []
    for reference in dict.fromkeys(d.reference for d in differences):
        against = [d for d in differences if d.reference == reference]
        worse = [d.metric for d in against if d.verdict == "worse"]
        if worse:
            reasons.append(f"{', '.join(worse)} worse than {reference}")
        elif not any(d.verdict == "better" for d in against):
            reasons.append(f"nothing better than {reference}")
    return "; ".join(reasons)


def history_text(entries: list[RegistryEntry]) -> str:
    """Every entry with what decided it, oldest first; a star marks the champion."""
    lines = []
    for entry in entries:
        what = f"rollback to {entry.restores:06d}" if entry.restores else entry.reason
        mark = "*" if entry is entries[-1] else " "
        lines.append(
            f"{entry.number:06d}{mark} {entry.made_at:%Y-%m-%d %H:%M} UTC  {what:<18} {entry.method} "
            f"sha256 {entry.sha256[:12]}, by {entry.made_by}"
        )
        lines += [f"        {_gain(d)}" for d in (entry.evaluation.differences if entry.evaluation else ())]
    return "\n".join(lines)


def _gain(d: Difference) -> str:
    return f"{d.metric} {d.difference:+.3f} [{d.low:+.3f}, {d.high:+.3f}] against {d.reference}: {d.verdict}"


def _row(d: Difference) -> str:
    cells = [
        d.metric,
        d.better,
        f"{d.mean_challenger:.3f}",
        f"{d.reference} ({d.mean_reference:.3f})",
        f"{d.difference:+.3f}",
        f"[{d.low:+.3f}, {d.high:+.3f}]",
        f"{d.tolerance:g}",
        d.verdict,
    ]
    return f"| {' | '.join(cells)} |"
