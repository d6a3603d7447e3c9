"""A retraining cycle: new photographs, training from the champion, the gate, the registry."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from itertools import chain
from typing import TypeVar

from pydantic import BaseModel

from pipeline.config.loading import parse
from pipeline.errors import EXIT_DONE, ConfigError, FiatColorError, RunError
from pipeline.models.method_list import NETWORKS, weights_info
from pipeline.models.weights_registry import WeightsRegistry
from pipeline.photographs.candidates import Candidate, objects
from pipeline.photographs.prepare import prepare_into
from pipeline.photographs.settings import PrepareConfig
from pipeline.retraining.heldout import refuse_trained_on
from pipeline.retraining.promote import PromoteRequest, promote
from pipeline.retraining.settings import PromoteConfig, RetrainRequest, RetrainSettings, refuse_request
from pipeline.retraining.state import Cycle, CycleFolder
from pipeline.storage import ObjectInfo, Store, open_store
from pipeline.storage.lease import hold_lease
from pipeline.training.settings import NetworkConfig, TrainConfig
from pipeline.training.trainer import train, trained_weights

Say = Callable[[str], None]


class RetrainConfig(RetrainSettings, TrainConfig):
    """The settings of `jobs/retrain.py`.

    The cycle sets places, names and weights itself, and its network is the champion's: options under `model`
    must fit that one.
    """

    model: NetworkConfig = NetworkConfig()


def retrain_champion(
    request: RetrainRequest, config: RetrainConfig, say: Say = print, accepted: Iterable[Candidate] = ()
) -> int:
    """Run one cycle, or continue one that was stopped.

    In steps, for n photographs that no cycle has read yet:
      1. check champion, places and network before spending hours;
      2. prepare the n photographs, refuse held-out ones among the training rows, begin the cycle;
      3. train on the rows of all cycles, from the champion's weights, export with the champion's decoding;
      4. promote through the gate, or not, and record the outcome.

    `accepted`: the results of `retrain.decisions`, which count as photographs. Each is read once, and again
    where it has other bytes.

    Returns 0: promoted, or fewer new photographs than `retrain.least_new`; 3: trained and not promoted.
    Raises FiatColorError as its parts do; RunError where another process is at work at the output.
    """
    refuse_request(request, config)
    folder = CycleFolder(request.output, config.storage)
    catalog = WeightsRegistry(request.registry, config.storage)
    champion = catalog.champion_weights()
    _training(config, folder, Cycle(0, champion, 0, 0))  # refuses a network that does not fit
    if request.dry_run:
        return _dry_run(request, config, folder, champion, accepted, say)
    folder.store.check_writable()
    try:
        with hold_lease(folder.store):
            cycle = folder.unfinished() or begin_cycle(request, config, folder, champion, accepted, say)
            return EXIT_DONE if cycle is None else _run(cycle, request, config, folder, catalog, say)
    except KeyboardInterrupt:
        raise RunError("interrupted; run the same command again to continue") from None


def begin_cycle(
    request: RetrainRequest,
    config: RetrainConfig,
    folder: CycleFolder,
    champion: str,
    accepted: Iterable[Candidate],
    say: Say,
) -> Cycle | None:
    """A new cycle, None where too few photographs are new; rows that were prepared for none are removed.

    Raises:
        ConfigError: held-out photographs are among them, or are too few. Others as `prepare_into`.
    """
    earlier, prepare, photos = folder.earlier(), _part(PrepareConfig, config), list(request.photos)
    new = [each for each in objects(photos, prepare) if earlier.selects(*each)]
    more = [one for one in accepted if earlier.selects(*_object_of(one))]
    said = f", {len(more):,} new accepted results" if config.retrain.decisions else ""
    say(f"{len(new):,} new files{said}")
    if not new and not more:
        return None
    number = folder.next_number()
    before = earlier if number > 1 else None
    prepared = prepare_into(folder.rows, photos, prepare, None, say, before, more)
    cycle = Cycle(number, champion, prepared.parts, prepared.kept.total())
    say(f"prepared {cycle.photographs:,} photographs; left out: {dict(prepared.dropped)}")
    if cycle.photographs < config.retrain.least_new:
        folder.keep_rows(earlier.parts)
        say(f"a cycle needs at least {config.retrain.least_new:,} (retrain.least_new)")
        return None
    try:
        _check_held_out(request, config, folder)
    except FiatColorError:
        folder.keep_rows(earlier.parts)
        raise
    folder.begin(cycle, [*new, *map(_object_of, more)])
    return cycle


def _object_of(one: Candidate) -> tuple[Store, ObjectInfo]:
    """An accepted result as an object that a cycle has read: its SHA-256 says which version it was."""
    return one.store, ObjectInfo(one.key, one.sha256 or "", 0)


def _check_held_out(request: RetrainRequest, config: RetrainConfig, folder: CycleFolder) -> None:
    """Raises ConfigError now for what the gate would refuse hours later."""
    count = refuse_trained_on(request.held_out, (folder.rows,), config.evaluate, config.storage)
    if count < config.gate.min_photographs:
        raise ConfigError(
            f"{request.held_out} has {count} photographs, too few for a decision (gate.min_photographs is "
            f"{config.gate.min_photographs}); give more held-out photographs"
        )


def _run(
    cycle: Cycle,
    request: RetrainRequest,
    config: RetrainConfig,
    folder: CycleFolder,
    catalog: WeightsRegistry,
    say: Say,
) -> int:
    """Train, export, judge and record, without the steps that an earlier try has finished."""
    key = f"{cycle.folder}/weights.safetensors"
    say(f"{cycle.name}: {cycle.photographs:,} new photographs, from {cycle.champion}")
    if not folder.store.exists(key):
        began = time.monotonic()
        training, decoding = _training(config, folder, cycle)
        train(training)
        folder.store.put(key, trained_weights(training, None, decoding))
        say(f"{cycle.name}: trained in {(time.monotonic() - began) / 60:.1f} min")
    decision: list[str] = []

    def report(text: str) -> None:
        decision.append(text)
        say(text)

    evaluation = open_store(f"{folder.uri}/{cycle.folder}/evaluation", config.storage)
    challenge = PromoteRequest(f"{folder.uri}/{key}", request.held_out, evaluation, (folder.rows,))
    status = promote(catalog, challenge, _part(PromoteConfig, config), report)
    folder.end(cycle, status, "\n\n".join(decision) + "\n")
    return status


def _training(
    config: RetrainConfig, folder: CycleFolder, cycle: Cycle
) -> tuple[TrainConfig, dict[str, float]]:
    """The training of the champion's network from its weights, and how the champion is decoded.

    Raises ConfigError where `model` asks for another network, WeightsError where the weights are gone.
    """
    info = weights_info(config.model.chosen().get("method"), cycle.champion, storage=config.storage)
    network = NETWORKS[info.method]
    options = {name: info.architecture[name] for name in network.options if name in info.architecture}
    model = parse(
        NetworkConfig, options | config.model.chosen() | {"method": info.method, "weights": cycle.champion}
    )
    updates = {
        "model": model,
        "data": config.data.model_copy(update={"photos": folder.rows.uri}),
        "train": config.train.model_copy(update={"name": cycle.name, "storage": folder.runs}),
    }
    decoding = {name: info.architecture[name] for name in network.decoding if name in info.architecture}
    return _part(TrainConfig, config).model_copy(update=updates), decoding


def _dry_run(
    request: RetrainRequest,
    config: RetrainConfig,
    folder: CycleFolder,
    champion: str,
    accepted: Iterable[Candidate],
    say: Say,
) -> int:
    cycle = folder.unfinished()
    if cycle is not None:
        say(f"would continue {cycle.name}, from {cycle.champion}")
    else:
        earlier = folder.earlier()
        listed = objects(list(request.photos), _part(PrepareConfig, config))
        new = [earlier.selects(*each) for each in chain(listed, map(_object_of, accepted))]
        say(f"would begin cycle {folder.next_number()} with {sum(new):,} new files of {len(new):,}")
        say(f"from the champion {champion}, judged on {request.held_out}")
    say("Dry run: nothing was written.")
    return EXIT_DONE


C = TypeVar("C", bound=BaseModel)


def _part(kind: type[C], config: RetrainConfig) -> C:
    """The configuration of another job, of the sections that `config` shares with it."""
    return kind(**{name: getattr(config, name) for name in kind.model_fields})
