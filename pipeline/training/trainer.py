"""Start, resume and export a training run with Ray Train."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import ray
from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from pipeline.cli import log
from pipeline.config.extras import require
from pipeline.engine.cluster import cluster
from pipeline.engine.errors import explained
from pipeline.errors import ConfigError
from pipeline.models.method_list import NETWORKS
from pipeline.models.names import location
from pipeline.models.weights import load_weights, parse_weights
from pipeline.models.weights_registry import pin_weights
from pipeline.storage import open_store
from pipeline.storage.lease import hold_lease
from pipeline.training.checkpoint import weights_in
from pipeline.training.data.dataset import Dataset, streams
from pipeline.training.loop import train_worker
from pipeline.training.onnx_export import NOT_STATED, Terms, in_format_of
from pipeline.training.run_folder import RunFolder, check_writable, run_folder, s3_environment
from pipeline.training.settings import TrainConfig
from pipeline.training.warm_start import warm_start
from pipeline.training.weights_export import exported, mean_of, write_weights

# A step asks for the same large tensors again and again. From the heap, which keeps what is freed, they cost
# no new pages. The heaps of glibc's other arenas end at 64 MB and are given back, and a training thread has
# such an arena. With one arena for all, a step of the pretrained U-Net takes 3.3 s in place of 4.2 (32 crops
# of 256 pixels), 5.7 in place of 8.5 (64 of 224); what is saved is time of the kernel.
_ALLOCATOR = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}


def train(config: TrainConfig) -> str:
    """Train to the end, from the newest checkpoint of the same name and storage if there is one.

    Returns the run's folder. Raises ConfigError for unusable photographs, labels that are missing or another
    network's checkpoint, RunError where the workers failed more often than `train.retries` or another process
    trains this run. And ConfigError where the extra `train` is not installed.
    """
    require("train", "training")
    log.bind(config.train.name)
    data = Dataset.open(config.data, config.storage)  # here a mistake costs only one line of output
    _check_labels(config, data)
    config = _checked_start(config, data.labels)
    folder = run_folder(config.train.storage, config.train.name, config.storage)
    check_writable(folder, config.storage)
    settings = config.model_dump(mode="json")
    settings["data"]["photos"] = data.train.store.uri
    settings["data"]["stream"] = streams(data, config.data)
    settings["train"]["storage"] = folder.uri.rpartition("/")[0]
    with hold_lease(open_store(folder.uri, config.storage)):
        if mended := folder.mend_record(config.train.keep):
            log.say("mended", f"{folder.uri}: repaired Ray's record; it names {', '.join(mended)} again")
        folder.remove_strays()
        _fit(config, settings, folder)
        folder.remove_strays()
    return folder.uri


def _fit(config: TrainConfig, settings: dict[str, Any], folder: RunFolder) -> None:
    with _cluster(config, settings["data"]["stream"]):
        try:
            refusal: str | None = _trainer(config, settings, folder).fit().return_value
        except ray.train.TrainingFailedError as error:
            raise explained(error, "the same command resumes it") from error
    if refusal:
        raise ConfigError(refusal)


def _check_labels(config: TrainConfig, data: Dataset) -> None:
    """Raises ConfigError where the loss has a part for labels and the photographs have none that count."""
    if data.labels or not config.loss.alpha:
        return
    if NETWORKS[config.model.method].start(config.model.options(), 2).classes:
        raise ConfigError(
            f"the loss classifies labels (loss.alpha is {config.loss.alpha:g}), but of "
            f"{data.train.table.num_rows} photographs at {config.data.photos} none has a label that counts: "
            f"set loss.alpha=0, or lower data.label_images ({config.data.label_images})"
        )


def _checked_start(config: TrainConfig, labels: tuple[str, ...]) -> TrainConfig:
    """The configuration with `model.weights` pinned, so that every worker begins with the same bytes.
    Raises WeightsError and ConfigError as `warm_start` does."""
    if config.model.weights is None:
        return config
    weights = pin_weights(config.model.weights, config.storage)
    model = NETWORKS[config.model.method].start(config.model.options(), len(labels))
    warm_start(model, str(weights), labels if model.classes else (), config.storage)
    return config.model_copy(update={"model": config.model.model_copy(update={"weights": weights})})


def _trainer(config: TrainConfig, settings: dict[str, Any], folder: RunFolder) -> Any:
    train = config.train
    loop: Any = train_worker  # Ray's types know no loop that returns something, its Result does
    return TorchTrainer(
        loop,
        train_loop_config=settings,
        scaling_config=ScalingConfig(num_workers=train.workers, use_gpu=train.gpu),
        run_config=RunConfig(
            name=train.name,
            storage_path=folder.root,
            storage_filesystem=folder.filesystem,
            checkpoint_config=CheckpointConfig(num_to_keep=train.keep),
            failure_config=FailureConfig(max_failures=train.retries),
        ),
    )


def _cluster(config: TrainConfig, streamed: bool) -> AbstractContextManager[None]:
    """The cluster that the job was submitted to, else one here with room for all workers and tasks."""
    # A worker that reports again waits until Ray Train's controller has its last report: 2 s by default.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    # Ray Train prints a worker's line twice unless this is 0.
    environment = s3_environment(config.storage) | _ALLOCATOR | {"RAY_TRAIN_ENABLE_PRINT_PATCH": "0"}
    # Logical CPUs, not cores: a worker holds one, Ray Train's controller needs another, and the tasks that
    # stream to a worker their own, besides a part for reading.
    cpus = config.train.workers * (1 + (config.data.tasks + 1 if streamed else 0)) + 2
    return cluster(
        None,
        config.train.workers,
        cpus=cpus,
        environment=environment,
        setup_hook="pipeline.engine.worker_setup.quieten",
        worker_output=True,
    )


def export(
    config: TrainConfig,
    target: str,
    variant: str | None = None,
    decoding: dict[str, float] | None = None,
    terms: Terms = NOT_STATED,
    steps: Sequence[int] = (),
) -> None:
    """Write `trained_weights` to the path or URI `target`, as an ONNX file where that ends with .onnx; then
    with `terms`. Raises ConfigError where the network cannot be one."""
    data = trained_weights(config, variant, decoding, steps)
    write_weights(in_format_of(target, data, terms), target, config.storage)


def trained_weights(
    config: TrainConfig,
    variant: str | None = None,
    decoding: dict[str, float] | None = None,
    steps: Sequence[int] = (),
) -> bytes:
    """The weights file with the averaged weights of the run's newest checkpoint, or with the mean of those of
    its checkpoints at these `steps`, as in `weights_export.mean_of`.

    `variant` and `decoding` as in `weights_export.exported`. Raises ConfigError where there is no checkpoint.
    """
    folder = run_folder(config.train.storage, config.train.name, config.storage)
    checkpoints = folder.at(steps) if steps else [folder.newest()]
    files = [weights_in(checkpoint) for checkpoint in checkpoints]
    data = files[0] if len(files) == 1 else mean_of([parse_weights(file, folder.uri) for file in files])
    return exported(data, variant, decoding)


def average(
    config: TrainConfig,
    parts: Sequence[str],
    target: str,
    decoding: dict[str, float] | None = None,
    terms: Terms = NOT_STATED,
) -> None:
    """Write the mean of the weights `parts` (shipped names, paths or URIs) to `target`, as `export` does.

    Raises ConfigError where they are not of one network, WeightsError where one cannot be had.
    """
    loaded = [load_weights(location(None, part), None, config.storage) for part in parts]
    data = exported(mean_of(loaded), None, decoding)
    write_weights(in_format_of(target, data, terms), target, config.storage)
