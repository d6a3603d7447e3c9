"""What one training worker does. `run.py` starts the workers; this file is the loop itself."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray.train
import ray.train.torch
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from pipeline.models.ab_bins import target_at
from pipeline.models.base import TrainableColorizer, resolve_precision
from pipeline.models.registry import METHODS
from pipeline.models.weights import WeightsInfo
from pipeline.training.checkpoint import AveragedModel, RunState
from pipeline.training.config import OptimConfig, TrainConfig
from pipeline.training.dataset import (
    Batch,
    Photos,
    ab_prior,
    ahead,
    known_labels,
    mean_ab,
    read_rows,
    validation_batches,
)


@dataclass
class Worker:
    """One worker's pieces; `wrapped` is the model inside DistributedDataParallel where there are several."""

    config: TrainConfig
    info: WeightsInfo
    train: Photos
    val: Photos | None
    state: RunState
    wrapped: nn.Module
    device: torch.device
    precision: str
    rank: int
    writer: SummaryWriter | None


def train_worker(settings: dict[str, Any]) -> None:
    """The function that Ray Train runs in every worker: `settings` is a TrainConfig as JSON values."""
    worker = _set_up(TrainConfig.model_validate(settings))
    config, state = worker.config, worker.state
    seed = (config.train.seed, worker.rank)
    batches = ahead(worker.train, config.data, config.train.batch, seed, state.step)
    meter, before = _Meter(), state.seconds
    started = time.monotonic()
    while True:
        state.seconds = before + time.monotonic() - started
        progress = _agreed_progress(worker)
        if progress >= 1:
            break
        losses = _step(worker, next(batches), learning_rate(config.optim, state.step, progress))
        state.step += 1
        meter.add(losses)
        if state.step % config.train.log_steps == 0:
            _log(worker, meter, progress)
        if state.step % config.train.checkpoint_steps == 0:
            _report(worker, progress)
    _report(worker, 1.0)


def learning_rate(config: OptimConfig, step: int, progress: float) -> float:
    """Linear warm-up over the first steps, then half a cosine over `progress` in [0, 1] to zero."""
    warm = min(1.0, (step + 1) / (config.warmup + 1))
    return config.rate * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def _set_up(config: TrainConfig) -> Worker:
    torch.set_num_threads(config.train.threads)
    torch.manual_seed(config.train.seed)
    context = ray.train.get_context()
    rank, workers = context.get_world_rank(), context.get_world_size()
    table = read_rows(config.data.photos, config.storage)
    labels = known_labels(table, config.data)
    model = METHODS[config.model.method].start(config.model.options(), len(labels))
    labels = labels if model.classes else ()
    if model.bin_head is not None:
        model.bin_head.prior_Q.copy_(torch.from_numpy(ab_prior(table)))
    device = ray.train.torch.get_device()
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = RunState(model, AveragedModel(model, config.optim.ema), _optimizer(model, config.optim))
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is not None:
        state.restore(checkpoint, labels)
    precision = resolve_precision(config.train.precision, str(device))
    state.averaged.module.precision = precision
    folder = context.get_storage().experiment_fs_path
    writer = SummaryWriter(f"{folder}/tensorboard") if rank == 0 and Path(folder).is_absolute() else None
    has_val = "val" in table["split"].to_pylist()
    if rank == 0:
        print(f"training at step {state.step} of {config.train.steps}: {table.num_rows} photographs, "
              f"{len(labels)} labels, {precision}, {workers} worker(s)", flush=True)  # fmt: skip
    return Worker(
        config,
        _describe(config, table, labels, model),
        Photos.of(table, "train", labels, config.data, rank, workers),
        Photos.of(table, "val", labels, config.data) if has_val and rank == 0 else None,
        state,
        ray.train.torch.prepare_model(model, move_to_device=False),
        device,
        precision,
        rank,
        writer,
    )


def _optimizer(model: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """AdamW; biases and normalisation are not decayed."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.rate)


def _describe(
    config: TrainConfig, table: pa.Table, labels: tuple[str, ...], model: TrainableColorizer
) -> WeightsInfo:
    sources: dict[str, int] = {}
    for source in table["source"].to_pylist():
        sources[source] = sources.get(source, 0) + 1
    settings = config.model_dump(
        mode="json", exclude={"storage": True, "data": {"photos"}, "train": {"storage"}}
    )
    provenance = {
        "settings": settings,
        "sources": sources,
        "torch": torch.__version__,
        "cpu": platform.machine(),
    }
    return WeightsInfo(
        config.model.method,
        model.architecture(),
        mean_ab(table),
        model.ab_range,
        model.normalisation,
        labels,
        provenance,
    )


def _agreed_progress(worker: Worker) -> float:
    """How much of the run is over, in [0, 1], by steps or minutes; the first worker's clock holds for all."""
    train, state = worker.config.train, worker.state
    progress = state.step / train.steps
    if train.minutes is not None:
        elapsed = torch.tensor([state.seconds], device=worker.device)
        if dist.is_initialized():
            dist.broadcast(elapsed, src=0)
        progress = max(progress, float(elapsed) / (60 * train.minutes))
    return min(1.0, progress)


def _step(worker: Worker, batch: Batch, rate: float) -> dict[str, Tensor]:
    config, state, device = worker.config, worker.state, worker.device
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.model.train()
    with torch.autocast(device.type, torch.bfloat16, enabled=worker.precision == "bf16"):
        losses: dict[str, Tensor] = worker.wrapped(
            batch.L_B1HW.to(device), batch.ab_B2HW.to(device), batch.label_B.to(device),
            config.loss.objective(),
        )  # fmt: skip
    state.optimizer.zero_grad(set_to_none=True)
    losses["loss"].backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(state.model.parameters(), config.optim.clip)
    state.optimizer.step()
    state.averaged.update(state.model, state.step)
    return losses | {"gradient": norm.detach(), "rate": torch.tensor(rate)}


class _Meter:
    """Means since the last line, and images per second."""

    def __init__(self) -> None:
        self.values: list[dict[str, float]] = []
        self.since = time.monotonic()

    def add(self, losses: dict[str, Tensor]) -> None:
        self.values.append({name: float(value.detach()) for name, value in losses.items()})

    def take(self, images: int) -> dict[str, float]:
        means = {name: sum(v[name] for v in self.values) / len(self.values) for name in self.values[0]}
        means["images_per_s"] = len(self.values) * images / (time.monotonic() - self.since)
        self.__init__()  # type: ignore[misc]
        return means


def _log(worker: Worker, meter: _Meter, progress: float) -> None:
    means = meter.take(worker.config.train.batch * ray.train.get_context().get_world_size())
    if worker.rank:
        return
    line = " ".join(f"{name} {value:.4g}" for name, value in means.items())
    print(
        f"step {worker.state.step} ({progress:.1%}, {worker.state.seconds / 60:.1f} min): {line}", flush=True
    )
    if worker.writer is not None:
        for name, value in means.items():
            worker.writer.add_scalar(f"train/{name}", value, worker.state.step)
        worker.writer.flush()


def _report(worker: Worker, progress: float) -> None:
    """Validate and checkpoint (the first worker), and tell Ray (all of them: it is a barrier)."""
    metrics: dict[str, Any] = {"step": worker.state.step, "progress": progress}
    if worker.rank:
        ray.train.report(metrics)
        return
    metrics |= validate(worker)
    if len(metrics) > 2:
        line = " ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        print(f"validation: {line}", flush=True)
    for name, value in metrics.items() if worker.writer is not None else ():
        worker.writer.add_scalar(f"val/{name}", value, worker.state.step)  # type: ignore[union-attr]
    made = {"steps": worker.state.step, "minutes": round(worker.state.seconds / 60, 1)}
    worker.info.provenance.update(made)
    with worker.state.saved(worker.info) as checkpoint:
        ray.train.report(metrics, checkpoint=checkpoint)


@torch.inference_mode()
def validate(worker: Worker) -> dict[str, float]:
    """ab-RMSE (Lab units) of the averaged weights on middle squares, and of the constant tint beside it."""
    if worker.val is None:
        return {}
    squares: dict[str, float] = {"rmse": 0.0, "tint_rmse": 0.0, "chroma": 0.0}
    count = 0
    tint = torch.tensor(worker.info.mean_ab, device=worker.device)[:, None, None]
    batches: Iterator[Batch] = validation_batches(worker.val, worker.config.data, worker.config.train.batch)
    for batch in batches:
        guess = worker.state.averaged.module.predict_ab(batch.L_B1HW.to(worker.device))
        truth = target_at(batch.ab_B2HW.to(worker.device), (guess.shape[2], guess.shape[3]))
        count += truth.numel()
        squares["rmse"] += float((guess - truth).square().sum())
        squares["tint_rmse"] += float((tint - truth).square().sum())
        squares["chroma"] += float(guess.square().sum())
    return {name: math.sqrt(value / count) for name, value in squares.items()}
