"""Train a family of networks: prepare photographs, train and export each run, evaluate side by side."""

from __future__ import annotations

import json
import time

from pipeline.config.loading import load
from pipeline.errors import ConfigError
from pipeline.evaluate.evaluation import evaluate
from pipeline.evaluate.settings import EvaluateConfig
from pipeline.photographs.prepare import prepare_photos
from pipeline.photographs.settings import PrepareConfig
from pipeline.retraining.family import FamilyRequest, requested_family
from pipeline.storage import open_store
from pipeline.training.settings import TrainConfig
from pipeline.training.trainer import export, train

PREPARED = "prepared.json"


def retrain_family(request: FamilyRequest) -> list[str]:
    """In steps, for r runs and h held-out collections; what an earlier call has finished is not done again:
      1. n photographs -> OUTPUT/train-photos, once;
      2. r runs -> checkpoints in OUTPUT/train-runs -> OUTPUT/weights/<run>.safetensors;
      3. h evaluations of all runs and the shipped weights -> OUTPUT/evaluation/<number>-<name>.

    Returns the tables. Raises ConfigError for a bad family or unknown names in `only`, RunError where a
    training fails, StorageError as the stores do.
    """
    family = requested_family(request, TrainConfig)
    # read now: training takes hours, and a mistake in this file would end them
    settings = load(EvaluateConfig, request.evaluation)
    _prepare(request, family)
    for name, config in family.items():
        if not request.only or name in request.only:
            _train(name, config, request.output)
    return [
        evaluate(uri, f"{request.output}/evaluation/{number}-{_last(uri)}", _own(settings, request, family))
        for number, uri in enumerate(request.held_out, 1)
    ]


def _last(uri: str) -> str:
    return uri.rstrip("/").rsplit("/", 1)[-1].removesuffix(".parquet")


def _prepare(request: FamilyRequest, family: dict[str, TrainConfig]) -> None:
    """Prepare the photographs, once: a marker, written last, says that all parts are there."""
    storage = next(iter(family.values())).storage
    store = open_store(request.output, storage)
    sources = {"photos": list(request.photos), "exclude": list(request.exclude)}
    if store.exists(PREPARED):
        made_from = json.loads(store.get(PREPARED).data)
        if made_from != sources:
            raise ConfigError(
                f"{request.output} was made from {made_from}, not {sources}: give another --output"
            )
        return
    config = load(PrepareConfig, None, [f"photos.exclude={json.dumps(list(request.exclude))}"])
    config = config.model_copy(update={"storage": storage})
    result = prepare_photos(list(request.photos), f"{request.output}/train-photos", config)
    print(f"prepared {result.kept.total()} photographs; left out: {dict(result.dropped)}", flush=True)
    store.put(PREPARED, json.dumps(sources).encode(), "application/json")


def _train(name: str, config: TrainConfig, output: str) -> None:
    weights = open_store(f"{output}/weights", config.storage)
    if weights.exists(f"{name}.safetensors"):
        print(f"{name}: already trained", flush=True)
        return
    began = time.monotonic()
    train(config)
    export(config, f"{output}/weights/{name}.safetensors")
    print(f"{name}: trained in {(time.monotonic() - began) / 60:.1f} min", flush=True)


def _own(settings: EvaluateConfig, request: FamilyRequest, family: dict[str, TrainConfig]) -> EvaluateConfig:
    """The evaluation's entries that are runs of this family, with the weights made here."""
    entries = tuple(
        entry.model_copy(update={"weights": f"{request.output}/weights/{entry.weights}.safetensors"})
        if entry.weights in (request.only or family)
        else entry
        for entry in settings.evaluate.entries
    )
    section = settings.evaluate.model_copy(update={"entries": entries})
    return settings.model_copy(update={"evaluate": section, "storage": next(iter(family.values())).storage})
