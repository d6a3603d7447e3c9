"""Promotion: a challenger measured beside the champion, judged by the gate, and written to the registry."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config.storage import StorageConfig
from pipeline.errors import EXIT_DONE, ConfigError
from pipeline.evaluate.evaluation import TABLE, evaluate_into
from pipeline.evaluate.settings import GRAY, TINT, EvaluateConfig, NetworkEntry
from pipeline.models.method_list import open_weights
from pipeline.models.names import location
from pipeline.models.registry_entries import Evaluation, RegistryEntry
from pipeline.models.weights_registry import WeightsRegistry, pin_weights
from pipeline.retraining.decision import decision_markdown, history_text, why_not
from pipeline.retraining.gate import decide, promoted
from pipeline.retraining.heldout import refuse_trained_on
from pipeline.retraining.settings import PromoteConfig
from pipeline.storage import Store, open_store, refuse_overlap
from pipeline.storage.temporary import temporary_folder

EXIT_NOT_PROMOTED = 3
CHALLENGER = "challenger"

Say = Callable[[str], None]


@dataclass(frozen=True)
class PromoteRequest:
    """The challenger's weights and the held-out photographs, as URIs.

    `first`: the registry may be empty, and the baselines replace its champion; `trained_on`: places that
    prepare_photos.py wrote, whose training photographs must not be among `photos`; `output`: keeps the whole
    evaluation, None: nothing does.
    """

    challenger: str
    photos: str
    output: Store | None = None
    trained_on: tuple[Store, ...] = ()
    first: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class _Match:
    """The champion and the challenger. `weights`: the challenger's URI with the digest of the file that is
    there now, so that the file that is measured is the one that is promoted."""

    catalog: WeightsRegistry
    champion: RegistryEntry | None
    weights: str
    sha256: str
    method: str

    @property
    def previous(self) -> int | None:
        return self.champion.number if self.champion else None


def promote(
    catalog: WeightsRegistry, request: PromoteRequest, config: PromoteConfig, say: Say = print
) -> int:
    """Make the challenger the champion of `catalog` if it passes the gate.

    In steps:
      1. compare the digests of champion and challenger; equal ones leave nothing to promote;
      2. check that no photograph is among the training photographs of `trained_on`;
      3. colour and measure every photograph with both networks (or the challenger and the baselines);
      4. show the gate's verdicts in a report;
      5. if it passed: write the weights, the entry and the report, in this order.

    Returns the exit status: 0 promoted (or champion already), 3 not. Raises FiatColorError as its parts do;
    RunError where another promoter came first.
    """
    match = _match(catalog, request, config.storage)  # it only reads, and its errors name the registry
    refuse_overlap(request.photos, catalog.uri, own=())
    if match.champion is not None and match.champion.sha256 == match.sha256:
        say(f"nothing to promote: entry {match.champion.number} of {match.catalog.uri} has these weights")
        return EXIT_DONE
    if not request.dry_run:
        match.catalog.store.check_writable()
    if request.trained_on:
        compared = refuse_trained_on(request.photos, request.trained_on, config.evaluate, config.storage)
        places = ", ".join(store.uri for store in request.trained_on)
        say(f"none of {compared} photographs is among those in {places}")
    evaluation = _evaluation(match, request, config)
    passed = promoted(evaluation.differences, config.gate)
    outcome = f"promoted as entry {(match.previous or 0) + 1}"
    if not passed:
        outcome = f"not promoted: {why_not(evaluation.differences)}"
    report = _report(match, request.challenger, outcome, evaluation)
    say(report)
    if request.dry_run:
        say(f"dry run, nothing was written; without it: {outcome}")
    else:
        say(_write(match, evaluation, report) if passed else outcome)
    return EXIT_DONE if passed else EXIT_NOT_PROMOTED


def roll_back(catalog: WeightsRegistry, number: int | None, dry_run: bool, say: Say = print) -> int:
    """Make an earlier entry the champion again. Returns 0; raises as `roll_back` of the registry."""
    target = catalog.rollback_target(number)
    if dry_run:
        say(f"dry run, nothing was written; entry {target.number} would be the champion again")
    else:
        entry = catalog.roll_back(target.number)
        say(f"rolled back: entry {entry.number} of {catalog.uri} has the weights of entry {target.number}")
    return EXIT_DONE


def show_history(catalog: WeightsRegistry, say: Say = print) -> int:
    """List the registry's entries. Returns 0; raises ConfigError where there are none."""
    entries = catalog.history()
    if not entries:
        raise ConfigError(f"the registry {catalog.uri} has no entry; check the spelling")
    say(history_text(entries))
    return EXIT_DONE


def _match(catalog: WeightsRegistry, request: PromoteRequest, storage: StorageConfig) -> _Match:
    champion = catalog.champion()
    if champion is None and not request.first:  # a typing error is as likely as a new registry
        raise ConfigError(
            f"the registry {catalog.uri} has no champion to compare with; check the spelling, or begin it "
            "with --first: the challenger is then compared with the gray image and the constant tint"
        )
    uri = location(None, pin_weights(request.challenger, storage))
    opened = open_weights(None, uri, storage=storage)
    sha256 = (
        opened.digest if opened.onnx is None else opened.onnx.sha256
    )  # of the file: entries know no other
    return _Match(catalog, champion, f"{uri.partition('#')[0]}#sha256={sha256}", sha256, opened.method)


def _evaluation(match: _Match, request: PromoteRequest, config: PromoteConfig) -> Evaluation:
    entries = [NetworkEntry(name=CHALLENGER, weights=match.weights)]
    references: tuple[str, ...] = (GRAY, TINT)
    if match.champion is not None:
        references = (f"entry {match.champion.number}",)
        entries.append(NetworkEntry(name=references[0], weights=match.catalog.locate(match.champion)))
    update: dict[str, object] = {
        "entries": tuple(entries),
        "cost_photographs": 0,
    }  # the gate asks for quality
    if request.output is None:
        update["frechet_resamples"] = 0  # its interval takes seconds and is not shown
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


def _table(request: PromoteRequest, config: EvaluateConfig) -> pa.Table:
    """One row per photograph and colouring, from an evaluation that is kept in `request.output` alone."""
    with temporary_folder() as folder:
        output = request.output or open_store(str(folder), config.storage)
        evaluate_into(output, request.photos, config)
        return pq.read_table(io.BytesIO(output.get(TABLE).data))


def _report(match: _Match, challenger: str, outcome: str, evaluation: Evaluation) -> str:
    champion = "none yet; compared with the gray image and the constant tint"
    if match.champion is not None:
        champion = f"entry {match.champion.number} ({match.champion.method}, sha256 {match.champion.sha256})"
    facts = {CHALLENGER: f"{challenger} ({match.method}, sha256 {match.sha256})", "champion": champion}
    return decision_markdown(f"{match.catalog.name}: {outcome}", facts, evaluation)


def _write(match: _Match, evaluation: Evaluation, report: str) -> str:
    catalog = match.catalog
    entry = catalog.promote(match.weights, previous=match.previous, evaluation=evaluation)
    catalog.store.put(f"{entry.number:06d}.md", report.encode(), "text/markdown")
    return f"promoted as entry {entry.number} of {catalog.uri}; use it with --weights registry:{catalog.uri}"
