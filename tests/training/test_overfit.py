"""Every trainable method, with every head and colour space, can overfit one batch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from pipeline.color.spaces_torch import lab_to_srgb_t, srgb_to_lab_t
from pipeline.models.ab_bins import histogram
from pipeline.models.base import Objective
from pipeline.models.method_list import METHODS, NETWORKS
from pipeline.models.methods.unet.losses import LOG_WEIGHT

SIDE, IMAGES = 32, 4
CASES: dict[str, tuple[str, dict[str, Any], Objective]] = {
    "regression_cnn": ("regression_cnn", {"width": 0.25}, Objective()),
    "classification_cnn": ("classification_cnn", {"width": 0.25}, Objective()),
    "classification_cnn, rebalanced": ("classification_cnn", {"width": 0.25}, Objective(uniform=0.5)),
    "unet": ("unet", {"width": 0.25}, Objective()),
    "unet, smooth L1": ("unet", {"width": 0.25}, Objective(regression="smooth_l1")),
    "unet, psnr": ("unet", {"width": 0.25}, Objective(regression="psnr")),
    "unet, psnr and a classifier's losses": (
        "unet", {"width": 0.25}, Objective(regression="psnr", perceptual=0.01, semantic=0.002),
    ),
    "unet, bins": ("unet", {"width": 0.25, "head": "classification"}, Objective()),
    "unet, bins, rebalanced": ("unet", {"width": 0.25, "head": "classification"}, Objective(uniform=0.5)),
    "unet, pretrained, both heads": (
        "unet", {"encoder": "efficientnet_lite0", "head": "both", "frozen": 5},
        Objective(uniform=0.5, regression="smooth_l1", bins=0.01),
    ),
    "unet, pretrained and left so, global features": (
        "unet", {"encoder": "efficientnet_lite0", "head": "both", "frozen": 16, "global_branch": True},
        Objective(regression="psnr", bins=0.01),
    ),
    "unet, global features": ("unet", {"width": 0.25, "global_branch": True}, Objective()),
    "iizuka": ("iizuka", {"width": 0.25, "global_side": 64}, Objective(alpha=0.0005)),
    "patch": ("patch", {"width": 0.5}, Objective()),
    "iizuka, no global branch": ("iizuka", {"width": 0.25, "global_branch": False}, Objective()),
    "iizuka, sum": (
        "iizuka", {"width": 0.25, "global_side": 64}, Objective(alpha=1 / 300, reduction="sum"),
    ),
    "iizuka, rgb": ("iizuka", {"width": 0.25, "global_side": 64, "space": "rgb"}, Objective(alpha=0.0005)),
    "iizuka, yuv": ("iizuka", {"width": 0.25, "global_side": 64, "space": "yuv"}, Objective(alpha=0.0005)),
}  # fmt: skip
# A method that is not in the table yet is tested with its smallest network.
CASES |= {
    name: (name, {"width": 0.25} if "width" in method_class.options else {}, Objective())
    for name, method_class in NETWORKS.items()
    if name not in {method for method, _, _ in CASES.values()}
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """So few pixels are quicker on one thread, and far quicker where others use the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def batch(images: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Up to four smooth pictures of strong colours inside sRGB: L, ab, labels."""
    generator = torch.Generator().manual_seed(3)
    corners = torch.rand(images, 3, 3, 3, generator=generator) * 0.8 + 0.1
    rgb_B3HW = F.interpolate(corners, (SIDE, SIDE), mode="bilinear", align_corners=True)
    lab_B3HW = srgb_to_lab_t(rgb_B3HW)
    assert float((lab_to_srgb_t(lab_B3HW) - rgb_B3HW).abs().max()) < 1e-3
    return lab_B3HW[:, :1], lab_B3HW[:, 1:], torch.tensor([0, 1, 0, 1][:images])


def test_every_trainable_method_is_here() -> None:
    assert {method for method, _, _ in CASES.values()} == {
        n for n, method_class in METHODS.items() if method_class.trainable
    }


@pytest.mark.slow
@pytest.mark.parametrize("case", list(CASES))
def test_one_batch_is_learned_by_heart(case: str) -> None:
    """Soon the loss falls, and the chroma comes far nearer to the truth than the batch's own mean is.

    A cross-entropy over bins cannot fall to 0: the soft-encoding of the truth has an entropy of its own.
    """
    method, options, objective = CASES[case]
    torch.manual_seed(0)
    # A classifier sees each prediction at its own, larger size: two pictures cost it enough.
    L_B1HW, ab_B2HW, label_B = batch(2 if objective.perceptual else IMAGES)
    colorizer = NETWORKS[method].start(options, 2)
    if colorizer.bin_head is not None:  # the prior of these pictures: a flat one would rebalance nothing
        counts = torch.from_numpy(histogram(ab_B2HW.movedim(1, -1).reshape(-1, 2).numpy()))
        colorizer.bin_head.prior_Q.copy_(counts / counts.sum())
    optimizer = torch.optim.AdamW(colorizer.parameters(), lr=3e-3)
    losses, distance, tint = [], math.inf, _mean_distance(ab_B2HW, ab_B2HW.mean((0, 2, 3), keepdim=True))
    learned = False
    while not learned and len(losses) < 48:
        colorizer.train()
        losses.append(_step(colorizer, optimizer, (L_B1HW, ab_B2HW, label_B), objective))
        if len(losses) % 4 == 0 and _has_fallen(losses, colorizer, objective):
            distance = _mean_distance(ab_B2HW, _guess(colorizer, L_B1HW))
            learned = distance < 0.4 * tint
    assert learned, (losses, distance, tint)


def _has_fallen(losses: list[float], colorizer: torch.nn.Module, objective: Objective) -> bool:
    if objective.regression == "psnr":  # a logarithm, below 0 from the start: 4 dB less of it
        return losses[-1] < losses[0] - 4 / 10 * math.log(10) * LOG_WEIGHT
    return losses[-1] < (0.05 if colorizer.bin_head is None else 0.6) * losses[0]


def _guess(colorizer: torch.nn.Module, L_B1HW: torch.Tensor) -> torch.Tensor:
    colorizer.eval()
    # Statistics of one batch, not the running ones of so few steps: what is tested is what was learned.
    for module in colorizer.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d) and _learns(module):
            module.train()
    return F.interpolate(colorizer.predict_ab(L_B1HW), (SIDE, SIDE), mode="bilinear")


def _mean_distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().mean())


def _learns(module: torch.nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())


def _step(
    colorizer: torch.nn.Module, optimizer: torch.optim.Optimizer, data: tuple[torch.Tensor, ...],
    objective: Objective,
) -> float:  # fmt: skip
    losses: Mapping[str, torch.Tensor] = colorizer(*data, objective)
    optimizer.zero_grad()
    losses["loss"].backward()
    optimizer.step()
    return float(losses["loss"].detach())
