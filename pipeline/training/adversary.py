"""A discriminator that is trained together with the network, and what the network learns from it.

Minimising an error yields the mean of all likely colours, which is brown. A discriminator demands colours
that photographs have (P. Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks",
CVPR 2017, sections 2 and 3). It is part of the training alone: no weights file holds it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from pipeline.models.ab_bins import target_at
from pipeline.training.sections import AdversarialConfig

CHROMA = 25.0
"""Lab units of chroma that are 1 for the discriminator: the usual chroma of photographs."""
SLOPE = 0.2
BETAS = (0.0, 0.9)
"""Of Adam, as T. Miyato et al. have them (ICLR 2018, section 4, setting B without momentum)."""


class Discriminator(nn.Module):
    """A verdict for each patch of a picture: high where its chroma looks like a photograph's.

    Five convolutions (the PatchGAN of Isola et al., section 3.2.2) with spectral normalisation (T. Miyato et
    al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018, section 2.1). It sees L*,
    chroma and, where `context` > 0, so many features of the picture: what is grass to them should be green.
    """

    def __init__(self, width: int, context: int) -> None:
        super().__init__()
        self.fine = nn.ModuleList(
            [_convolution(3, width, 3, 1), _convolution(width, 2 * width, 4, 2)],
        )
        self.context = _convolution(context, 2 * width, 1, 1) if context else None
        both = 4 * width if context else 2 * width
        self.coarse = nn.ModuleList(
            [_convolution(both, 2 * width, 3, 1), _convolution(2 * width, 2 * width, 4, 2)],
        )
        self.verdict = _convolution(2 * width, 1, 1, 1)

    def forward(self, L_B1hw: Tensor, ab_B2hw: Tensor, context_BChw: Tensor | None) -> list[Tensor]:
        """Feature maps, the verdicts last, B x 1 x h/4 x w/4. L* in [0, 100], chroma in Lab units."""
        x = torch.cat([L_B1hw / 50 - 1, ab_B2hw / CHROMA], 1)
        maps = []
        for layer in self.fine:
            x = F.leaky_relu(layer(x), SLOPE)
            maps.append(x)
        if self.context is not None:
            assert context_BChw is not None
            seen = F.leaky_relu(self.context(context_BChw), SLOPE)
            x = torch.cat([x, F.interpolate(seen, x.shape[-2:], mode="bilinear", align_corners=False)], 1)
        for layer in self.coarse:
            x = F.leaky_relu(layer(x), SLOPE)
            maps.append(x)
        return [*maps, self.verdict(x)]


def _convolution(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Module:
    padding = (kernel - 1) // 2
    return spectral_norm(nn.Conv2d(inputs, outputs, kernel, stride, padding))


def hinge(verdict_of_photographs: Tensor, verdict_of_guesses: Tensor) -> Tensor:
    """What a discriminator minimises: the mean of max(0, 1 - D) over photographs plus that of max(0, 1 + D)
    over guesses (J. H. Lim, J. C. Ye, "Geometric GAN", 2017, section 3)."""
    return F.relu(1 - verdict_of_photographs).mean() + F.relu(1 + verdict_of_guesses).mean()


class DiscriminatorBatch(NamedTuple):
    """A batch as a discriminator sees it: `L_B1HW` in [0, 100], as the network got it; `shown` and `context`
    as `TrainableColorizer.forward` returns them; the true chroma. Chroma in Lab units."""

    L_B1HW: Tensor
    shown: Tensor
    true_ab_B2HW: Tensor
    context: Tensor

    def at_quarter(self) -> tuple[Tensor, Tensor, Tensor]:
        """L*, the network's chroma and the true one, averaged to a quarter of the size."""
        size = (self.L_B1HW.shape[2] // 4, self.L_B1HW.shape[3] // 4)
        L, guess, truth = (target_at(x.float(), size) for x in (self.L_B1HW, self.shown, self.true_ab_B2HW))
        return L, guess, truth


class Adversary:
    """The discriminator of a run, its optimizer, and how many steps it has learned.

    It judges chroma averaged to a quarter of the crop's size: finer, chroma is noise of cameras and the work
    of JPEG, by which a photograph is told from any guess.
    """

    def __init__(self, config: AdversarialConfig, context: int, device: torch.device) -> None:
        self.config = config
        self.module = Discriminator(config.width, context if config.context else 0).to(device)
        self.optimizer = torch.optim.Adam(self.module.parameters(), lr=config.rate, betas=BETAS)
        self.steps = 0

    @property
    def weight(self) -> float:
        """The present weight of the verdicts: 0 in the warm-up, then growing to `weight`."""
        config = self.config
        return config.weight * min(1.0, max(0.0, (self.steps - config.warmup) / max(1, config.warmup)))

    def judge(self, batch: DiscriminatorBatch) -> dict[str, Tensor]:
        """What the network minimises, as "loss": `weight` x (the negative mean verdict of its guesses +
        `matching` x the distance of the discriminator's features from those of the true colours).

        Each image is compared with its own truth (T.-C. Wang et al., "High-Resolution Image Synthesis", CVPR
        2018, equation 3). The discriminator learns nothing from it.
        """
        if not self.weight:
            return {"loss": batch.shown.new_zeros(())}
        self.module.eval().requires_grad_(False)  # in training, spectral normalisation would change
        L, guess, truth = batch.at_quarter()
        *maps, verdict = self.module(L, guess, batch.context)
        loss = -verdict.mean()
        losses = {"fooled": verdict.mean().detach()}
        if self.config.matching:
            *true_maps, _ = self.module(L, truth, batch.context)
            pairs = zip(maps, true_maps, strict=True)
            distance = torch.stack([F.l1_loss(one, other) for one, other in pairs]).mean()
            losses["matching"] = distance.detach()
            loss = loss + self.config.matching * distance
        self.module.requires_grad_(True)
        return {"loss": self.weight * loss, **losses}

    def learn(self, batch: DiscriminatorBatch) -> dict[str, Tensor]:
        """One step of the discriminator, on the network's guesses and on the true colours. Its loss as
        "discriminator", and as "real" the mean verdict of the true colours."""
        self.module.train()
        L, guess, truth = (x.detach() for x in batch.at_quarter())
        twice = L.repeat(2, 1, 1, 1), torch.cat([truth, guess]), batch.context.repeat(2, 1, 1, 1)
        of_truth, of_guess = self.module(*twice)[-1].chunk(2)
        loss = hinge(of_truth, of_guess)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        _mean_over_workers(self.module)
        self.optimizer.step()
        self.steps += 1
        return {"discriminator": loss.detach(), "real": of_truth.mean().detach()}

    def state(self) -> dict[str, Any]:
        """What `restore` takes."""
        return {
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "steps": self.steps,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state`. Raises ValueError where it is of a discriminator of another size."""
        try:
            self.module.load_state_dict(state["module"])
        except RuntimeError:
            raise ValueError("the discriminator has another size or other context") from None
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps = state["steps"]


def _mean_over_workers(module: nn.Module) -> None:
    """All workers began with the same discriminator; with the same gradients they keep the same."""
    if not dist.is_initialized():
        return
    for parameter in module.parameters():
        assert parameter.grad is not None
        dist.all_reduce(parameter.grad)
        parameter.grad /= dist.get_world_size()
