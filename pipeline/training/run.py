"""Starting, resuming and exporting a training run with Ray Train."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import ray
from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from pipeline.errors import RunError
from pipeline.training.checkpoint import newest_weights
from pipeline.training.config import TrainConfig
from pipeline.training.dataset import check_rows
from pipeline.training.export import exported, write_weights
from pipeline.training.loop import train_worker

REPO = Path(__file__).resolve().parents[2]


def _absolute(uri: str) -> str:
    """Ray wants absolute local paths; a URI stays as it is."""
    return uri if "://" in uri else str(Path(uri).expanduser().resolve())


def train(config: TrainConfig) -> str:
    """Train to the end, from the newest checkpoint of the same name and storage if there is one.

    Returns the run's folder. Raises ConfigError for unusable photographs or another network's checkpoint,
    RunError where the workers failed more often than `train.retries`.
    """
    check_rows(config.data.photos, config.storage)  # a wrong path costs a line here, not a worker's traceback
    storage = _absolute(config.train.storage)
    settings = config.model_dump(mode="json")
    settings["data"]["photos"] = _absolute(config.data.photos)
    _start_ray(config)
    try:
        result = TorchTrainer(
            train_worker,
            train_loop_config=settings,
            scaling_config=ScalingConfig(num_workers=config.train.workers, use_gpu=config.train.gpu),
            run_config=RunConfig(
                name=config.train.name,
                storage_path=storage,
                checkpoint_config=CheckpointConfig(num_to_keep=config.train.keep),
                failure_config=FailureConfig(max_failures=config.train.retries),
            ),
        ).fit()
    except ray.train.TrainingFailedError as error:
        raise RunError(f"training failed: {' '.join(str(error).split())[-400:]}") from error
    finally:
        ray.shutdown()
    return str(result.path)


def _start_ray(config: TrainConfig) -> None:
    """Join the cluster the job was submitted to, else start one here with room for all workers."""
    if os.environ.get("RAY_ADDRESS"):
        ray.init(logging_level=logging.ERROR)
        return
    # Logical CPUs, not cores: a worker holds one, Ray Train's controller needs another.
    cpus = config.train.workers + 2
    python_path = os.pathsep.join(filter(None, [str(REPO), os.environ.get("PYTHONPATH")]))
    ray.init(
        address="local",
        num_cpus=cpus,
        include_dashboard=False,
        logging_level=logging.ERROR,
        runtime_env={
            # Ray Train prints a worker's line twice unless told not to.
            "env_vars": {"PYTHONPATH": python_path, "RAY_TRAIN_ENABLE_PRINT_PATCH": "0"},
            "worker_process_setup_hook": "pipeline.training.run.quieten",
        },
    )


def export(config: TrainConfig, target: str, variant: str | None = None, gain: float | None = None) -> None:
    """Write the averaged weights of the run's newest checkpoint to the path or URI `target`.

    `variant` and `gain` as in `export.exported`. Raises ConfigError where there is no checkpoint.
    """
    run = f"{_absolute(config.train.storage)}/{config.train.name}"
    write_weights(exported(newest_weights(run), variant, gain), target, config.storage)


def quieten() -> None:
    """Runs in every Ray worker: a part of Ray Train warns every second that there is no dashboard, and we
    start none (it serves an API without authentication)."""
    logging.getLogger("ray.train.v2._internal.execution.controller.placement_group_cleaner").setLevel("ERROR")
