"""The training loop of one worker. `trainer.py` starts the workers."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import ray.train
import torch
import torch.distributed as dist
from torch import Tensor, nn

from pipeline.storage import unusable
from pipeline.training.adversary import DiscriminatorBatch
from pipeline.training.data.batches import Batch
from pipeline.training.reporting import Clock, Meter, TensorBoard
from pipeline.training.sections import OptimConfig
from pipeline.training.settings import TrainConfig
from pipeline.training.validate import sample_picture, validate
from pipeline.training.worker import UnusableData, Worker, set_up


def train_worker(settings: dict[str, Any]) -> str | None:
    """The function that Ray Train runs in every worker: `settings` is a TrainConfig as JSON values.

    Returns why the run cannot continue if the user must fix it and it is the same for all workers, because a
    raised error would be retried. None: the run has ended.
    """
    config = TrainConfig.model_validate(settings)
    try:
        worker = set_up(config)
        _run(worker, worker.data.batches(worker.sampler, config.data, worker.state.step))
    except UnusableData as error:
        return str(error)
    except OSError as error:  # of TensorBoard, of Ray Train's checkpoints, of Arrow's S3 client
        raise unusable(error, config.train.storage) from None
    return None


def _run(worker: Worker, batches: Iterator[Batch]) -> None:
    config, state = worker.config, worker.state
    meter, before, started = Meter(), state.seconds, time.monotonic()
    progress = _agreed_progress(worker)
    clock = Clock(progress)
    while progress < 1:
        waits = time.monotonic()
        batch = next(batches)
        waited = time.monotonic() - waits
        losses = _step(worker, batch, learning_rate(config.optim, state.step, progress))
        worker.newly_unreadable.update(batch.unreadable)
        state.step += 1
        state.seconds = before + time.monotonic() - started
        progress = _agreed_progress(worker)
        meter.add(losses, waited)
        if state.step % config.train.log_steps == 0:
            share_unreadable(worker)
            _log(worker, meter, progress, clock.left(progress))
        if state.step % config.train.checkpoint_steps == 0 and progress < 1:
            stopped = time.monotonic()
            _report(worker, progress)
            meter.skip(time.monotonic() - stopped)
    share_unreadable(worker)
    _report(worker, 1.0)


def learning_rate(config: OptimConfig, step: int, progress: float) -> float:
    """Linear warm-up over the first steps, then half a cosine over `progress` in [0, 1] to zero."""
    warm = min(1.0, (step + 1) / (config.warmup + 1))
    return config.rate * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def _agreed_progress(worker: Worker) -> float:
    """How much of the run is over, in [0, 1], by steps or minutes; the first worker's clock holds for all."""
    train, state = worker.config.train, worker.state
    progress = state.step / train.last_step(worker.sampler.epoch_steps)
    if train.minutes is not None:
        elapsed = torch.tensor([state.seconds], device=worker.device)
        if dist.is_initialized():
            dist.broadcast(elapsed, src=0)
        progress = max(progress, float(elapsed) / (60 * train.minutes))
    return min(1.0, progress)


def _step(worker: Worker, batch: Batch, rate: float) -> dict[str, Tensor]:
    config, state, device = worker.config, worker.state, worker.device
    for group in state.optimizer.param_groups:
        group["lr"] = rate * group.get("factor", 1.0)  # runs begun before there were factors have none
    state.model.train()
    L_B1HW, ab_B2HW = batch.L_B1HW.to(device), batch.ab_B2HW.to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=worker.precision == "bf16"):
        losses: dict[str, Tensor] = worker.wrapped(
            L_B1HW, ab_B2HW, batch.label_B.to(device), config.loss.objective()
        )
    judged = None
    if state.adversary is not None:
        judged = DiscriminatorBatch(L_B1HW, losses.pop("shown"), ab_B2HW, losses.pop("context"))
        verdict = state.adversary.judge(judged)
        losses |= verdict | {"loss": losses["loss"] + verdict["loss"]}
    state.optimizer.zero_grad(set_to_none=True)
    losses["loss"].backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(state.model.parameters(), config.optim.clip)
    state.optimizer.step()
    state.averaged.update(state.model, state.step)
    if state.adversary is not None and judged is not None:
        losses |= state.adversary.learn(judged)
    return losses | {"gradient": norm.detach(), "rate": torch.tensor(rate)}


def share_unreadable(worker: Worker) -> None:
    """Share the keys of unreadable photographs among all workers, and print new ones. Raises UnusableData
    where their share is above `data.max_unreadable`."""
    everyone = [worker.newly_unreadable]
    if dist.is_initialized():
        everyone = [set() for _ in range(dist.get_world_size())]
        dist.all_gather_object(everyone, worker.newly_unreadable)
    added = set().union(*everyone) - worker.unreadable
    worker.unreadable |= added
    worker.newly_unreadable = set()
    for key in sorted(added) if worker.rank == 0 else ():
        print(f"unreadable, replaced by another photograph: {key}", flush=True)
    bad, rows = len(worker.unreadable), worker.data.train.table.num_rows
    if bad > worker.config.data.max_unreadable * rows:
        raise UnusableData(
            f"at least {bad} of {rows} training photographs ({bad / rows:.1%}) cannot be decoded, more than "
            f"data.max_unreadable ({worker.config.data.max_unreadable:.1%}) allows, the first of them "
            f"{', '.join(sorted(worker.unreadable)[:3])}; prepare the photographs again or allow more"
        )


def _log(worker: Worker, meter: Meter, progress: float, left: str) -> None:
    if worker.tensorboard is None:
        return
    means = meter.take(worker.config.train.batch * worker.sampler.workers)
    step, minutes = worker.state.step, worker.state.seconds / 60
    line = " ".join(f"{name} {value:.4g}" for name, value in means.items())
    print(
        f"step {step} (epoch {step / worker.sampler.epoch_steps:.2f}, {progress:.1%}, {minutes:.1f} min, "
        f"{left}): {line}",
        flush=True,
    )
    worker.tensorboard.scalars("train", means, step)


def _report(worker: Worker, progress: float) -> None:
    """Validate and checkpoint (the first worker), and report to Ray (all workers, for it is a barrier)."""
    state = worker.state
    epoch = state.step / worker.sampler.epoch_steps
    metrics: dict[str, Any] = {"step": state.step, "epoch": epoch, "progress": progress}
    metrics["unreadable"] = len(worker.unreadable)
    if worker.tensorboard is None:
        ray.train.report(metrics)
        return
    metrics |= _validated(worker, worker.tensorboard)
    worker.tensorboard.publish()
    worker.info.provenance.update(
        {"steps": state.step, "epochs": round(epoch, 3), "minutes": round(state.seconds / 60, 1)}
    )
    with state.saved(worker.info) as checkpoint:
        ray.train.report(metrics, checkpoint=checkpoint)


def _validated(worker: Worker, tensorboard: TensorBoard) -> dict[str, float]:
    """Numbers and a picture of the averaged weights, for TensorBoard; the numbers are also printed."""
    if worker.val is None:
        return {}
    config, step, averaged = worker.config, worker.state.step, worker.state.averaged.module
    measured = validate(averaged, worker.val, worker.info.mean_ab, config.data, config.train.batch)
    line = " ".join(f"{name} {value:.4g}" for name, value in measured.items())
    print(f"validation at step {step}: {line}", flush=True)
    tensorboard.scalars("val", measured, step)
    picture = sample_picture(averaged, worker.val, config.data, config.train.pictures)
    if picture is not None:
        tensorboard.picture("input, prediction, truth", picture, step)
    return measured
