"""A retraining cycle: new photographs, training from the champion, the gate, the registry."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, Field

from pipeline.config.loading import parse
from pipeline.config.section import Section
from pipeline.errors import EXIT_DONE, ConfigError, FiatColorError, RunError
from pipeline.evaluate.settings import EvaluateSection
from pipeline.models.catalog import SCHEME, pin_weights
from pipeline.models.registry import NETWORKS, weights_info
from pipeline.photographs.candidates import objects
from pipeline.photographs.prepare import prepare_photos
from pipeline.photographs.settings import PhotosConfig, PrepareConfig
from pipeline.retraining.gate import GateSection
from pipeline.retraining.heldout import refuse_trained_on
from pipeline.retraining.promote import PromoteConfig, promote
from pipeline.retraining.promote import Request as Promotion
from pipeline.retraining.state import FOLDERS, Cycle, CycleFolder
from pipeline.storage import refuse_overlap
from pipeline.storage.lease import at_work
from pipeline.training.settings import NetworkConfig, TrainConfig
from pipeline.training.trainer import export, train

Say = Callable[[str], None]


class RetrainSection(Section):
    """When a cycle is worth its while."""

    least_new: int = Field(1, ge=1, description="photographs without which no cycle begins")


class RetrainConfig(TrainConfig):
    """Everything that `jobs/retrain.py` can be told besides registry, photographs and output.

    Places, names and weights are the cycle's own, and the network is the champion's: what is set under
    `model` must fit it.
    """

    retrain: RetrainSection = RetrainSection()
    photos: PhotosConfig = PhotosConfig()
    evaluate: EvaluateSection = EvaluateSection()
    gate: GateSection = GateSection()


@dataclass(frozen=True)
class Retraining:
    """What the user asked for: REGISTRY/NAME, collections to train on, held-out photographs, the output."""

    registry: str
    photos: tuple[str, ...]
    held_out: str
    output: str
    dry_run: bool = False


def retrain_champion(request: Retraining, config: RetrainConfig, say: Say = print) -> int:
    """Play one cycle, or go on with one that was stopped.

    In steps, for n photographs that no cycle has taken in yet:
      1. check everything that can be wrong before hours pass: champion, places, network;
      2. prepare the n photographs, refuse if held-out ones are among the training rows, begin the cycle;
      3. train on the rows of all cycles, from the champion's weights, and export as the champion is decoded;
      4. promote through the gate, or not; write down which.

    Returns 0: promoted, or fewer new photographs than `retrain.least_new`; 3: trained and not promoted.
    Raises FiatColorError as its parts do; RunError where another process is at work at the output.
    """
    folder = _checked(request, config)
    champion = str(pin_weights(f"{SCHEME}{request.registry}", config.storage))
    _training(config, folder, Cycle(0, champion, 0, 0))  # a network that does not fit is told now
    if request.dry_run:
        return _dry_run(request, config, folder, champion, say)
    folder.store.check_writable()
    try:
        with at_work(folder.store):
            cycle = folder.unfinished() or _begun(request, config, folder, champion, say)
            return EXIT_DONE if cycle is None else _played(cycle, request, config, folder, say)
    except KeyboardInterrupt:
        raise RunError("interrupted; the same command goes on where this one stopped") from None


def _checked(request: Retraining, config: RetrainConfig) -> CycleFolder:
    """Raises ConfigError for places that overlap, and for settings that the cycle makes itself."""
    for uri in (*request.photos, request.held_out, request.registry):
        refuse_overlap(uri, request.output, own=FOLDERS)
    own = (("model", "weights"), ("data", "photos"), ("train", "name"), ("train", "storage"))
    for section, key in own:
        if key in getattr(config, section).model_fields_set:
            raise ConfigError(f"{section}.{key} is set by the cycle itself: leave it out")
    return CycleFolder(request.output, config.storage)


def _begun(
    request: Retraining, config: RetrainConfig, folder: CycleFolder, champion: str, say: Say
) -> Cycle | None:
    """A new cycle, None where too little is new. What was prepared for none is removed again."""
    earlier, prepare, photos = folder.earlier(), _part(PrepareConfig, config), list(request.photos)
    new = [found for found in objects(photos, prepare) if earlier.wanted(*found)]
    say(f"{len(new):,} new objects")
    if not new:
        return None
    number = folder.next_number()
    made = prepare_photos(photos, folder.photos, prepare, None, say, earlier if number > 1 else None)
    cycle = Cycle(number, champion, made.parts, made.kept.total())
    say(f"prepared {cycle.photographs:,} photographs; left out: {dict(made.dropped)}")
    if cycle.photographs < config.retrain.least_new:
        folder.keep_rows(earlier.parts)
        say(f"no cycle begins with fewer than {config.retrain.least_new:,} (retrain.least_new)")
        return None
    try:
        _check_held_out(request, config, folder)
    except FiatColorError:
        folder.keep_rows(earlier.parts)
        raise
    folder.begin(cycle, new)
    return cycle


def _check_held_out(request: Retraining, config: RetrainConfig, folder: CycleFolder) -> None:
    """What the gate will refuse in hours is refused now. Raises ConfigError."""
    count = refuse_trained_on(request.held_out, (folder.photos,), config.evaluate, config.storage)
    if count < config.gate.min_photographs:
        raise ConfigError(
            f"{request.held_out} has {count} photographs, too few for a decision (gate.min_photographs is "
            f"{config.gate.min_photographs}); give more held-out photographs"
        )


def _played(cycle: Cycle, request: Retraining, config: RetrainConfig, folder: CycleFolder, say: Say) -> int:
    """Train, export, judge and write down, without what an earlier try has finished."""
    challenger = f"{folder.uri}/{cycle.folder}/weights.safetensors"
    say(f"{cycle.name}: {cycle.photographs:,} new photographs, from {cycle.champion}")
    if not folder.store.exists(f"{cycle.folder}/weights.safetensors"):
        began = time.monotonic()
        training, decoding = _training(config, folder, cycle)
        train(training)
        export(training, challenger, None, decoding)
        say(f"{cycle.name}: trained in {(time.monotonic() - began) / 60:.1f} min")
    said: list[str] = []

    def tell(text: str) -> None:
        said.append(text)
        say(text)

    kept, trained_on = f"{folder.uri}/{cycle.folder}/evaluation", (folder.photos,)
    asked = Promotion(request.registry, challenger, request.held_out, kept, trained_on)
    status = promote(asked, _part(PromoteConfig, config), tell)
    folder.end(cycle, status, "\n\n".join(said) + "\n")
    return status


def _training(
    config: RetrainConfig, folder: CycleFolder, cycle: Cycle
) -> tuple[TrainConfig, dict[str, float]]:
    """The training of the champion's network from its weights, and how the champion is decoded.

    Raises ConfigError where `model` asks for another network, WeightsError where the weights are gone.
    """
    info = weights_info(config.model.chosen().get("method"), cycle.champion, storage=config.storage)
    room = NETWORKS[info.method]
    has = {name: info.architecture[name] for name in room.options if name in info.architecture}
    model = parse(
        NetworkConfig, has | config.model.chosen() | {"method": info.method, "weights": cycle.champion}
    )
    updates = {
        "model": model,
        "data": config.data.model_copy(update={"photos": folder.photos}),
        "train": config.train.model_copy(update={"name": cycle.name, "storage": folder.runs}),
    }
    decoding = {name: info.architecture[name] for name in room.decoding if name in info.architecture}
    return _part(TrainConfig, config).model_copy(update=updates), decoding


def _dry_run(request: Retraining, config: RetrainConfig, folder: CycleFolder, champion: str, say: Say) -> int:
    cycle = folder.unfinished()
    if cycle is not None:
        say(f"would go on with {cycle.name}, from {cycle.champion}")
    else:
        earlier = folder.earlier()
        found = [
            earlier.wanted(*each) for each in objects(list(request.photos), _part(PrepareConfig, config))
        ]
        say(f"would begin cycle {folder.next_number()} with {sum(found):,} new objects of {len(found):,}")
        say(f"from the champion {champion}, judged on {request.held_out}")
    say("Dry run: nothing was written.")
    return EXIT_DONE


C = TypeVar("C", bound=BaseModel)


def _part(kind: type[C], config: RetrainConfig) -> C:
    """The sections of `config` that another job's configuration has."""
    return kind(**{name: getattr(config, name) for name in kind.model_fields})
