"""Depthwise convolutions while they learn in bfloat16."""

from __future__ import annotations

import pytest
import torch

from pipeline.models.efficientnet_lite import SameConv2d


def gradients(conv: SameConv2d, x: torch.Tensor, bf16: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the kernels and of the input, for a sum of squares."""
    x = x.clone().requires_grad_()
    conv.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        y = conv(x)
        assert y.dtype == (torch.bfloat16 if bf16 else torch.float32)
    y.float().square().sum().backward()
    assert conv.weight.grad is not None
    assert x.grad is not None
    return conv.weight.grad.clone(), x.grad


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 2)])
def test_their_gradients_are_those_of_float32(kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    conv = SameConv2d(24, 24, kernel, stride, bias=False, groups=24)
    x = torch.randn(2, 24, 17, 16).to(memory_format=torch.channels_last)
    for full, half in zip(gradients(conv, x, False), gradients(conv, x, True), strict=True):
        assert float((full - half).abs().max()) < 0.01 * float(full.abs().max())
