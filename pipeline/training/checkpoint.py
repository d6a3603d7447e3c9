"""The state of a training run and its averaged weights, and how both are stored."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from ray.train import Checkpoint
from safetensors import SafetensorError
from safetensors.torch import load as parse_safetensors
from torch import nn

from pipeline.errors import ConfigError
from pipeline.models.base import TrainableColorizer
from pipeline.models.weights import WeightsInfo, encode_weights
from pipeline.storage.temporary import temporary_folder
from pipeline.training.adversary import Adversary

STATE_FILE = "state.pt"
WEIGHTS_FILE = "weights.safetensors"


class AveragedModel:
    """Exponential moving average of parameters and normalisation statistics (Polyak and Juditsky, 1992).

    Early on the average spans few steps: the decay is at most (1 + step) / (10 + step).
    """

    def __init__(self, model: TrainableColorizer, decay: float) -> None:
        self.module = copy.deepcopy(model).eval().requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        decay = min(self._decay, (1 + step) / (10 + step))
        current = model.state_dict()
        for name, mean in self.module.state_dict().items():
            if mean.is_floating_point():
                mean.lerp_(current[name], 1 - decay)
            else:
                mean.copy_(current[name])


@dataclass
class RunState:
    """What resuming needs besides the photographs. Random numbers need no state, because they follow from the
    step. `adversary` is None where no discriminator judges."""

    model: TrainableColorizer
    averaged: AveragedModel
    optimizer: torch.optim.Optimizer
    adversary: Adversary | None = None
    step: int = 0
    seconds: float = 0.0

    def restore(self, checkpoint: Checkpoint, labels: tuple[str, ...]) -> None:
        """Continue where `checkpoint` stopped; a discriminator that it does not contain starts from scratch.
        Raises ConfigError where it is of another network or another discriminator."""
        with checkpoint.as_directory() as folder:
            saved = torch.load(Path(folder) / STATE_FILE, map_location="cpu", weights_only=True)
        if saved["architecture"] != self.model.architecture() or tuple(saved["labels"]) != labels:
            raise ConfigError(
                f"the checkpoint to resume from is of another network ({saved['architecture']}) or of other "
                "labels; give the run another train.name"
            )
        self.model.load_state_dict(saved["model"])
        self.averaged.module.load_state_dict(saved["averaged"])
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.adversary is not None and "adversary" in saved:
            try:
                self.adversary.restore(saved["adversary"])
            except ValueError as error:
                raise ConfigError(
                    f"the checkpoint to resume from does not fit loss.adversarial: {error}; give the run "
                    "another train.name"
                ) from None
        self.step, self.seconds = saved["step"], saved["seconds"]

    @contextmanager
    def saved(self, info: WeightsInfo) -> Iterator[Checkpoint]:
        """A checkpoint folder, removed at the end; it also holds the averaged weights as they would ship."""
        with temporary_folder() as folder:
            content: dict[str, Any] = {
                "architecture": self.model.architecture(),
                "labels": list(info.labels),
                "model": self.model.state_dict(),
                "averaged": self.averaged.module.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
                "seconds": self.seconds,
            }
            if self.adversary is not None:
                content["adversary"] = self.adversary.state()
            torch.save(content, folder / STATE_FILE)
            weights = encode_weights(self.averaged.module.state_dict(), info)
            (folder / WEIGHTS_FILE).write_bytes(weights)
            yield Checkpoint.from_directory(str(folder))


def weights_in(checkpoint: Checkpoint) -> bytes:
    """The weights file in a checkpoint."""
    with checkpoint.as_directory() as folder:
        return (Path(folder) / WEIGHTS_FILE).read_bytes()


def saved_step(checkpoint: Checkpoint) -> int | None:
    """The step at which a checkpoint was made, None where it is not whole: its upload was cut off.

    Raises OSError where the storage cannot be read.
    """
    with temporary_folder() as folder:
        try:
            checkpoint.to_directory(str(folder))
            saved = torch.load(folder / STATE_FILE, map_location="cpu", weights_only=True)
            parse_safetensors((folder / WEIGHTS_FILE).read_bytes())
            return int(saved["step"])
        except (FileNotFoundError, RuntimeError, KeyError, EOFError, UnpicklingError, SafetensorError):
            return None
