"""The loop that a user would write to train the same network without a trainer.

Run as `python -m pipeline.benchmark.training_loop LOOP`.

Random tensors that are in memory already, the same losses and optimizer, nothing else: no photographs, no
averaged weights, no checkpoints, no progress.
"""

from __future__ import annotations

import sys
import time

import torch
from torch import nn

from pipeline.benchmark.task import ScriptReport
from pipeline.config.section import Section
from pipeline.models.base import TrainableColorizer, resolve_precision
from pipeline.models.method_list import NETWORKS
from pipeline.training.settings import TrainConfig


class BareLoop(Section):
    """`steps` of `config` are timed, after `warm` that are not."""

    config: TrainConfig
    warm: int
    steps: int


def train(loop: BareLoop) -> float:
    """Seconds per image."""
    config = loop.config
    torch.set_num_threads(config.train.threads)
    torch.manual_seed(0)
    model: TrainableColorizer = NETWORKS[config.model.method].start(config.model.options(), 0)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.optim.rate)
    bf16 = resolve_precision(config.train.precision, "cpu") == "bf16"
    batch, sides, objective = config.train.batch, config.data.sides, config.loss.objective()
    L_of_side = {side: 100 * torch.rand(batch, 1, side, side) for side in sides}
    ab_of_side = {side: 40 * torch.randn(batch, 2, side, side) for side in sides}
    label_B = torch.full((batch,), -1)
    began = time.perf_counter()
    for step in range(loop.warm + loop.steps):
        if step == loop.warm:
            began = time.perf_counter()
        side = sides[step % len(sides)]
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            losses = model(L_of_side[side], ab_of_side[side], label_B, objective)
        optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.optim.clip)
        optimizer.step()
    return (time.perf_counter() - began) / (loop.steps * batch)


if __name__ == "__main__":
    print(ScriptReport(seconds=train(BareLoop.model_validate_json(sys.argv[-1]))).model_dump_json())
