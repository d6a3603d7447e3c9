"""Promotion: a challenger measured beside the champion, judged by the gate, and written to the registry."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config.storage import StorageConfig
from pipeline.errors import EXIT_DONE, ConfigError
from pipeline.evaluate.evaluation import TABLE, evaluate
from pipeline.evaluate.settings import GRAY, TINT, EvaluateConfig
from pipeline.evaluate.settings import Entry as Contestant
from pipeline.models.catalog import Catalog, pin_weights
from pipeline.models.entries import Entry, Evaluation
from pipeline.models.registry import location
from pipeline.models.weights import load_weights
from pipeline.retraining.decision import decision_markdown, history_text, why_not
from pipeline.retraining.gate import GateSection, decide, promoted
from pipeline.retraining.heldout import refuse_trained_on
from pipeline.storage import open_store, refuse_overlap

EXIT_NOT_PROMOTED = 3
CHALLENGER = "challenger"

Say = Callable[[str], None]


class PromoteConfig(EvaluateConfig):
    """Everything that `jobs/promote.py` can be told besides the registry, the challenger and photographs."""

    gate: GateSection = GateSection()


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    `first`: an empty registry is meant, the baselines stand in for its champion; `trained_on`: folders that
    prepare_photos.py wrote, whose training photographs must not be among `photos`; `output`: where the whole
    evaluation is kept, if anywhere.
    """

    registry: str
    challenger: str
    photos: str
    output: str | None = None
    trained_on: tuple[str, ...] = ()
    first: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class _Match:
    """Who meets whom. `weights`: the challenger's URI with the digest of what is there now, so that what is
    measured is what is promoted."""

    catalog: Catalog
    champion: Entry | None
    weights: str
    sha256: str
    method: str

    @property
    def previous(self) -> int | None:
        return self.champion.number if self.champion else None


def promote(request: Request, config: PromoteConfig, say: Say = print) -> int:
    """Make the challenger the champion if the gate lets it.

    In steps:
      1. the champion, and both weights' digests; equal ones are nothing to promote;
      2. the photographs must not have been trained on, as far as `trained_on` tells;
      3. both networks (or the challenger and the baselines) colour every photograph, into one table;
      4. the gate's verdicts, in a report that is shown;
      5. if it passed: the weights, the entry and the report are written, in this order.

    Returns the exit status: 0 promoted (or champion already), 3 not. Raises FiatColorError as its parts do;
    RunError where another promoter came first.
    """
    match = _match(request, config.storage)  # only reads, and says best what is wrong with the registry
    refuse_overlap(request.photos, request.registry, own=())
    if match.champion is not None and match.champion.sha256 == match.sha256:
        say(f"nothing to promote: entry {match.champion.number} of {match.catalog.uri} has these weights")
        return EXIT_DONE
    if not request.dry_run:
        match.catalog.store.check_writable()
    if request.trained_on:
        compared = refuse_trained_on(request.photos, request.trained_on, config.evaluate, config.storage)
        say(f"none of {compared} photographs is among those in {', '.join(request.trained_on)}")
    evaluation = _judged(match, request, config)
    passed = promoted(evaluation.differences, config.gate)
    outcome = f"promoted as entry {(match.previous or 0) + 1}"
    if not passed:
        outcome = f"not promoted: {why_not(evaluation.differences)}"
    report = _report(match, request.challenger, outcome, evaluation)
    say(report)
    if request.dry_run:
        say(f"dry run, nothing was written; without it: {outcome}")
    else:
        say(_written(match, evaluation, report) if passed else outcome)
    return EXIT_DONE if passed else EXIT_NOT_PROMOTED


def roll_back(
    registry: str, number: int | None, dry_run: bool, storage: StorageConfig, say: Say = print
) -> int:
    """Make an earlier entry's weights the champion again. Returns 0; raises as `Catalog.roll_back` does."""
    catalog = Catalog(registry, storage)
    target = catalog.rollback_target(number)
    if dry_run:
        say(f"dry run, nothing was written; entry {target.number} would be the champion again")
    else:
        entry = catalog.roll_back(target.number)
        say(f"rolled back: entry {entry.number} of {catalog.uri} has the weights of entry {target.number}")
    return EXIT_DONE


def show_history(registry: str, storage: StorageConfig, say: Say = print) -> int:
    """List the registry's entries. Returns 0; raises ConfigError where there are none."""
    entries = Catalog(registry, storage).history()
    if not entries:
        raise ConfigError(f"the registry {registry} has no entry; check the spelling")
    say(history_text(entries))
    return EXIT_DONE


def _match(request: Request, storage: StorageConfig) -> _Match:
    catalog = Catalog(request.registry, storage)
    champion = catalog.champion()
    if champion is None and not request.first:  # as likely a typing error as a new registry
        raise ConfigError(
            f"the registry {catalog.uri} has no champion to compare with; check the spelling, or begin it "
            "with --first: the challenger is then compared with the gray image and the constant tint"
        )
    uri = location(None, pin_weights(request.challenger, storage))
    loaded = load_weights(uri, None, storage)
    pinned = f"{uri.partition('#')[0]}#sha256={loaded.digest}"
    return _Match(catalog, champion, pinned, loaded.digest, loaded.info.method)


def _judged(match: _Match, request: Request, config: PromoteConfig) -> Evaluation:
    entries = [Contestant(name=CHALLENGER, weights=match.weights)]
    references: tuple[str, ...] = (GRAY, TINT)
    if match.champion is not None:
        references = (f"entry {match.champion.number}",)
        entries.append(Contestant(name=references[0], weights=match.catalog.locate(match.champion)))
    update: dict[str, object] = {"entries": tuple(entries)}
    if request.output is None:
        update["frechet_resamples"] = 0  # an interval of seconds that nobody would see
    settings = config.evaluate.model_copy(update=update)
    table = _table(request, EvaluateConfig(evaluate=settings, storage=config.storage))
    gate = config.gate
    return Evaluation(
        photos=request.photos,
        photographs=len(table["key"].unique()),
        short_side=settings.side,
        confidence=gate.confidence,
        resamples=gate.resamples,
        seed=gate.seed,
        differences=decide(table, CHALLENGER, references, gate),
    )


def _table(request: Request, config: EvaluateConfig) -> pa.Table:
    """One row per photograph and colouring, from an evaluation that is kept only where that is asked for."""
    with tempfile.TemporaryDirectory(prefix="promote-") as folder:
        output = request.output or folder
        evaluate(request.photos, output, config)
        return pq.read_table(io.BytesIO(open_store(output, config.storage).get(TABLE).data))


def _report(match: _Match, named: str, outcome: str, evaluation: Evaluation) -> str:
    champion = "none yet; compared with the gray image and the constant tint"
    if match.champion is not None:
        champion = f"entry {match.champion.number} ({match.champion.method}, sha256 {match.champion.sha256})"
    facts = {CHALLENGER: f"{named} ({match.method}, sha256 {match.sha256})", "champion": champion}
    return decision_markdown(f"{match.catalog.name}: {outcome}", facts, evaluation)


def _written(match: _Match, evaluation: Evaluation, report: str) -> str:
    catalog = match.catalog
    entry = catalog.promote(match.weights, previous=match.previous, evaluation=evaluation)
    catalog.store.put(f"{entry.number:06d}.md", report.encode(), "text/markdown")
    return f"promoted as entry {entry.number} of {catalog.uri}; use it with --weights registry:{catalog.uri}"
