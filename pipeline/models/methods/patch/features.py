"""Features of a pixel: its patch, its gradients, and a classifier's feature maps at its place."""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.color.spaces_torch import lab_to_srgb_t
from pipeline.models.efficientnet_lite import LiteEncoder, gray_encoder, normalise, pretrained_lite0

PATCH_SIDE = 7  # pixels, the paper's low-level feature

ORIENTATIONS = 8
RING_POINTS = 8
RING_RADIUS = 7  # pixels
BLURS = (2.0, 3.5)  # Gaussian sigma in pixels, of the centre and of the ring
DAISY_CHANNELS = ORIENTATIONS * (1 + RING_POINTS)

SEMANTIC_MAPS = (2, 3, 4)
"""Of the classifier's maps those at 1/8, 1/16 and 1/32 of the size, 40 + 112 + 320 channels."""


def patches(L_B1HW: Tensor, stride: int) -> Tensor:
    """B x 49 x H/stride x W/stride: the 7 x 7 pixels around every `stride`-th one, (L* - 50) / 25."""
    margin = PATCH_SIDE // 2
    padded = F.pad((L_B1HW - 50) / 25, (margin,) * 4, mode="replicate")
    height, width = L_B1HW.shape[-2:]
    rows = [
        padded[..., y : y + height : stride, x : x + width : stride]
        for y in range(PATCH_SIDE)
        for x in range(PATCH_SIDE)
    ]
    return torch.cat(rows, 1)


def daisy(L_B1HW: Tensor, stride: int) -> Tensor:
    """B x 72 x H/stride x W/stride: DAISY (Tola, Lepetit, Fua, PAMI 2010) of one ring, dense and in batches.

    Histograms of 8 gradient directions, smoothed, at a pixel and at 8 points around it, each of unit length.
    """
    x = L_B1HW / 100
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    dx = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    dy = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    angles = [2 * math.pi * number / ORIENTATIONS for number in range(ORIENTATIONS)]
    directed = torch.cat([F.relu(dx * math.cos(angle) + dy * math.sin(angle)) for angle in angles], 1)
    centre, ring = (_blurred(directed, sigma) for sigma in BLURS)
    height, width = x.shape[-2:]
    around = F.pad(ring, (RING_RADIUS,) * 4, mode="replicate")
    histograms = [centre[..., ::stride, ::stride]]
    for number in range(RING_POINTS):
        angle = 2 * math.pi * number / RING_POINTS
        top = RING_RADIUS + round(RING_RADIUS * math.sin(angle))
        left = RING_RADIUS + round(RING_RADIUS * math.cos(angle))
        histograms.append(around[..., top : top + height : stride, left : left + width : stride])
    # Noise in a flat region must not become a direction: 0.005 is half a unit of L* per pixel.
    return torch.cat([part / (part.norm(dim=1, keepdim=True) + 0.005) for part in histograms], 1)


def _blurred(x_BCHW: Tensor, sigma: float) -> Tensor:
    """Gaussian, separable, edges repeated."""
    radius = math.ceil(2 * sigma)
    places = torch.arange(-radius, radius + 1, dtype=torch.float32, device=x_BCHW.device)
    kernel = torch.exp(-0.5 * (places / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(x_BCHW.dtype)
    channels = x_BCHW.shape[1]
    for shape, pad in (((1, -1), (radius, radius, 0, 0)), ((-1, 1), (0, 0, radius, radius))):
        weight = kernel.reshape(1, 1, *shape).expand(channels, -1, -1, -1)
        x_BCHW = F.conv2d(F.pad(x_BCHW, pad, mode="replicate"), weight, groups=channels)
    return x_BCHW


@cache
def semantic_encoder() -> LiteEncoder:
    """The pretrained classifier's convolutions for gray pictures, in evaluation mode; do not change it.

    Raises ConfigError where the package with its weights is missing.
    """
    return gray_encoder(pretrained_lite0()).eval().requires_grad_(False)


def semantic_maps(encoder: LiteEncoder, L_B1HW: Tensor) -> list[Tensor]:
    """The classifier's SEMANTIC_MAPS of the gray picture."""
    gray = lab_to_srgb_t(torch.cat([L_B1HW, torch.zeros_like(L_B1HW), torch.zeros_like(L_B1HW)], 1))[:, :1]
    with torch.no_grad():
        maps = encoder(normalise(gray))
    return [maps[number] for number in SEMANTIC_MAPS]
