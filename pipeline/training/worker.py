"""The state of one training worker, and how it is set up before its first step."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field, replace

import ray.train
import ray.train.torch
import torch
from torch import nn

from pipeline.errors import ConfigError
from pipeline.models.base import TrainableColorizer, resolve_precision
from pipeline.models.method_list import NETWORKS
from pipeline.models.weights import WeightsInfo
from pipeline.training.adversary import Adversary
from pipeline.training.checkpoint import AveragedModel, RunState
from pipeline.training.data.dataset import Dataset, streams
from pipeline.training.data.memory import Photos
from pipeline.training.data.sampling import Sampler
from pipeline.training.reporting import TensorBoard
from pipeline.training.sections import OptimConfig
from pipeline.training.settings import TrainConfig
from pipeline.training.warm_start import warm_start


class UnusableData(ConfigError):
    """A ConfigError that all workers raise at the same step, so the run ends without a retry."""


@dataclass
class Worker:
    """The state of one worker; `wrapped` is the model inside DistributedDataParallel where there are several.

    Only the first worker has `tensorboard` and `val`. `unreadable` are the keys of photographs that some
    worker could not decode, `newly_unreadable` those of this worker that the others do not know yet.
    """

    config: TrainConfig
    info: WeightsInfo
    data: Dataset
    sampler: Sampler
    val: Photos | None
    state: RunState
    wrapped: nn.Module
    device: torch.device
    precision: str
    rank: int
    tensorboard: TensorBoard | None
    unreadable: set[str] = field(default_factory=set)
    newly_unreadable: set[str] = field(default_factory=set)


def set_up(config: TrainConfig) -> Worker:
    """The worker of this process, at the step of the newest checkpoint. Raises UnusableData where that is of
    another network, ConfigError for unusable photographs."""
    torch.set_num_threads(config.train.threads)
    torch.manual_seed(config.train.seed)
    context = ray.train.get_context()
    rank, workers = context.get_world_rank(), context.get_world_size()
    data = Dataset.open(config.data, config.storage)
    options = config.model.options() | config.loss.adversarial.decoding()
    model = NETWORKS[config.model.method].start(options, len(data.labels))
    if not model.classes:
        data = replace(data, labels=())
    if config.model.weights is not None:
        warm_start(model, config.model.weights, data.labels, config.storage)
    if model.bin_head is not None:
        model.bin_head.prior_Q.copy_(torch.from_numpy(data.ab_prior()))
    device = ray.train.torch.get_device()
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    adversarial = config.loss.adversarial
    state = RunState(
        model,
        AveragedModel(model, config.optim.ema),
        _optimizer(model, config.optim),
        Adversary(adversarial, model.context_channels, device) if adversarial.weight else None,
    )
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is not None:
        try:
            state.restore(checkpoint, data.labels)
        except ConfigError as error:
            raise UnusableData(str(error)) from None
    precision = resolve_precision(config.train.precision, str(device))
    state.averaged.module.precision = precision
    worker = Worker(
        config,
        _describe(config, data, model),
        data,
        data.sampler(config.data, config.train.seed, config.train.batch, rank, workers),
        data.validation(config.data) if rank == 0 else None,
        state,
        ray.train.torch.prepare_model(model, move_to_device=False),
        device,
        precision,
        rank,
        TensorBoard(f"{config.train.storage}/{config.train.name}", config.storage) if rank == 0 else None,
    )
    _say_start(worker, workers)
    return worker


def _say_start(worker: Worker, workers: int) -> None:
    if worker.rank:
        return
    config, data, sampler = worker.config, worker.data, worker.sampler
    rows, labels = data.train.table.num_rows, data.labels
    unlabelled = f", {(data.label_numbers(data.train) < 0).sum()} without one" if labels else ""
    print(
        f"training at step {worker.state.step} of {config.train.last_step(sampler.epoch_steps)}: "
        f"{rows} photographs, {sampler.epoch_steps} steps in an epoch, "
        f"{'streamed' if streams(data, config.data) else 'in memory'}, {len(labels)} labels{unlabelled}, "
        f"{worker.precision}, {workers} worker(s)",
        flush=True,
    )


def _optimizer(model: TrainableColorizer, config: OptimConfig) -> torch.optim.Optimizer:
    """AdamW; biases and normalisation are not decayed. `factor` of a group is on the rate."""
    factor = config.encoder_factor
    slow = {id(p) for p in model.pretrained_parameters()} if factor < 1 else set()
    groups: list[dict[str, object]] = []
    for apart in (False, True) if slow else (False,):
        chosen = [p for p in model.parameters() if (id(p) in slow) == apart]
        for decay, matrices in ((config.weight_decay, True), (0.0, False)):
            some = [p for p in chosen if (p.ndim > 1) == matrices]
            groups.append({"params": some, "weight_decay": decay, "factor": factor if apart else 1.0})
    return torch.optim.AdamW(groups, lr=config.rate)


def _describe(config: TrainConfig, data: Dataset, model: TrainableColorizer) -> WeightsInfo:
    settings = config.model_dump(
        mode="json", exclude={"storage": True, "data": {"photos"}, "train": {"storage"}}
    )
    provenance = {
        "settings": settings,
        "sources": data.sources,
        "torch": torch.__version__,
        "cpu": platform.machine(),
    }
    return WeightsInfo(
        config.model.method,
        model.architecture(),
        data.mean_ab(),
        model.ab_range,
        model.normalisation,
        data.labels,
        provenance,
    )
