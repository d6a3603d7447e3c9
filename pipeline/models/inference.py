"""Prepare a trained network for prediction: compute the same function with fewer and faster operations.

On CPUs the convolutions are oneDNN's own operators, which torch.compile uses too: they apply the activation
while the result is in the cache, and take weights that were brought into the kernels' order once. Measured
on the EfficientNet-Lite0 U-Net with AMX: bfloat16 in two thirds of the time, float32 in nine tenths.
torch.compile itself takes longer to compile than most shards take to colour.
"""

from __future__ import annotations

import platform

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from pipeline.models.blocks import OutputConv, UpStep
from pipeline.models.efficientnet_lite import padding_of


class PointwiseConv(nn.Module):
    """A 1x1 convolution as a matrix product over pixels, which in channels-last order copies nothing.

    torch's own takes, for one image on one thread, a general path that brings the pixels into another order
    and back: measured 1.3 times the time of the whole EfficientNet-Lite0 U-Net. `full` keeps float32 under
    autocast, as `OutputConv` does.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight = nn.Parameter(conv.weight.detach().flatten(1).contiguous(), requires_grad=False)
        self.bias = None if conv.bias is None else nn.Parameter(conv.bias.detach(), requires_grad=False)
        self.full = isinstance(conv, OutputConv)

    def forward(self, x: Tensor) -> Tensor:
        x_BHWC = x.movedim(1, -1)
        if self.full:
            with torch.autocast(x.device.type, enabled=False):
                return F.linear(x_BHWC.float(), self.weight, self.bias).movedim(-1, 1)
        return F.linear(x_BHWC, self.weight, self.bias).movedim(-1, 1)


_ACTIVATIONS: dict[type[nn.Module], tuple[str, list[float], str]] = {
    nn.ReLU: ("relu", [], ""),
    nn.ReLU6: ("hardtanh", [0.0, 6.0], ""),
}
_NO_ACTIVATION: tuple[str, list[float], str] = ("none", [], "")


class FusedConv(nn.Module):
    """A convolution and the activation after it as one oneDNN operator, in `dtype`, on a CPU.

    oneDNN pads both sides alike. Where one more row and column are wanted at the end, as in a `SameConv2d` of
    stride 2, the kernel gets a row and a column of zeros at its beginning, and both sides the larger padding:
    the same sums, and the map is not copied.
    """

    def __init__(self, conv: nn.Conv2d, activation: nn.Module | None, dtype: torch.dtype) -> None:
        super().__init__()
        self.conv, self.dtype = conv, dtype
        self.activation = _NO_ACTIVATION if activation is None else _ACTIVATIONS[type(activation)]
        self.fixed = (list(conv.stride), list(conv.dilation), conv.groups)
        self.bias = None if conv.bias is None else conv.bias.detach().to(dtype)
        self.packed = self._packed(conv.weight)
        self.longer = self._packed(F.pad(conv.weight, (1, 0, 1, 0))) if max(conv.stride) > 1 else None

    def _packed(self, weight: Tensor) -> Tensor:
        weight = weight.detach().to(self.dtype).contiguous(memory_format=torch.channels_last)
        packed: Tensor = torch.ops.mkldnn._reorder_convolution_weight(weight, [0, 0], *self.fixed)
        return packed

    def forward(self, x: Tensor) -> Tensor:
        x, (top, bottom, left, right) = x.to(self.dtype), padding_of(self.conv, x)
        packed, padding = self.packed, [bottom, right]
        if self.longer is not None and (bottom - top, right - left) == (1, 1):
            packed = self.longer
        elif (top, left) != (bottom, right):
            x, padding = F.pad(x, (left, right, top, bottom)), [0, 0]
        result: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, packed, self.bias, padding, *self.fixed, *self.activation
        )
        return result


class FusedOutputConv(nn.Module):
    """An `OutputConv` of 3x3 with few outputs, in float32, on a CPU: one product of matrices gives the nine
    parts of each pixel's sums, and each is added where it belongs. oneDNN computes eight or sixteen outputs
    where there are two. `python -m tests.support.network_profile` measures the heads."""

    def __init__(self, conv: OutputConv) -> None:
        super().__init__()
        outputs, inputs = conv.weight.shape[:2]
        self.parts = conv.weight.detach().permute(2, 3, 0, 1).reshape(9 * outputs, inputs).contiguous()
        self.outputs, self.bias = outputs, None if conv.bias is None else conv.bias.detach()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """float32[B, outputs, H, W], as `OutputConv.forward` to float32 rounding."""
        batch, channels, height, width = x_BCHW.shape
        with torch.autocast(x_BCHW.device.type, enabled=False):
            x_NC = x_BCHW.movedim(1, -1).float().reshape(-1, channels)
            parts = torch.mm(self.parts, x_NC.t()).view(3, 3, self.outputs, batch, height, width)
            sums = parts[1, 1].clone()
            if self.bias is not None:
                sums += self.bias[:, None, None, None]
            for row in range(3):
                for column in range(3):
                    if (row, column) != (1, 1):
                        to_y, from_y = _overlap(row - 1, height)
                        to_x, from_x = _overlap(column - 1, width)
                        sums[..., to_y, to_x] += parts[row, column][..., from_y, from_x]
        return sums.movedim(0, 1)


def _overlap(shift: int, size: int) -> tuple[slice, slice]:
    """Where along one side there is a value `shift` further, and where that value is."""
    to, at = max(0, -shift), max(0, shift)
    length = max(0, size - abs(shift))
    return slice(to, to + length), slice(at, at + length)


class FusedPointwise(nn.Module):
    """`PointwiseConv` and the activation after it as one oneDNN operator, in `dtype`, on a CPU."""

    def __init__(self, conv: PointwiseConv, activation: nn.Module | None, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.activation = _NO_ACTIVATION if activation is None else _ACTIVATIONS[type(activation)]
        self.packed = torch.ops.mkldnn._reorder_linear_weight(conv.weight.detach().to(dtype))
        self.bias = None if conv.bias is None else conv.bias.detach().to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        x_BHWC = x.to(self.dtype).movedim(1, -1)
        result: Tensor = torch.ops.mkldnn._linear_pointwise(x_BHWC, self.packed, self.bias, *self.activation)
        return result.movedim(-1, 1)


_PHASES = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]], [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])
"""Which of a kernel's three rows fall on which of two rows of the small map (second index), for the even and
the odd rows (first index) of the enlarged one."""


class FusedUpStep(nn.Module):
    """An `UpStep` whose convolution looks at the small map itself, in float32, on a CPU.

    In a map enlarged to twice its size, a 3x3 kernel sees 2x2 values, and weights that see the same value
    add up. So the four pixels that come from one are four kernels of 2x2, with four ninths of the
    multiplications, and all four are one product of matrices. The finer map is added with its own 3x3 kernel.
    """

    def __init__(self, step: UpStep) -> None:
        super().__init__()
        conv = step[0]
        assert isinstance(conv, nn.Conv2d)
        small, finer = conv.weight.detach().tensor_split([step.inputs], 1)
        self.outputs, self.bias = conv.out_channels, conv.bias
        phases = torch.einsum("pay,qbx,oiyx->pqoabi", _PHASES, _PHASES, small).flatten(3).flatten(0, 2)
        self.phases = torch.ops.mkldnn._reorder_linear_weight(phases.contiguous())
        self.fixed = ([1, 1], [1, 1], [1, 1], 1)  # padding, stride, dilation, groups
        finer = finer.contiguous(memory_format=torch.channels_last)
        self.finer = torch.ops.mkldnn._reorder_convolution_weight(finer, *self.fixed)

    def forward(self, x_BChw: Tensor, finer_BDHW: Tensor) -> Tensor:
        """As `UpStep.forward`, to float32 rounding."""
        batch, _, height, width = x_BChw.shape
        edged = F.pad(x_BChw.movedim(1, -1), (0, 0, 1, 1, 1, 1))
        corners = [edged[:, a : a + height + 1, b : b + width + 1] for a in (0, 1) for b in (0, 1)]
        products: Tensor = torch.ops.mkldnn._linear_pointwise(
            torch.cat(corners, -1), self.phases, None, *_NO_ACTIVATION
        )
        large = x_BChw.new_empty((batch, height, 2, width, 2, self.outputs))
        for number, phase in enumerate(torch.chunk(products, 4, -1)):
            row, column = divmod(number, 2)
            large[:, :, row, :, column] = phase[:, row : row + height, column : column + width]
        enlarged = large.view(batch, 2 * height, 2 * width, self.outputs).movedim(-1, 1)
        result: Tensor = torch.ops.mkldnn._convolution_pointwise.binary(
            finer_BDHW, enlarged, self.finer, self.bias, *self.fixed, "add", 1.0, *_ACTIVATIONS[nn.ReLU]
        )
        return result


def can_fuse(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether this machine's oneDNN has the fused operators for networks on `device`."""
    if device.type != "cpu" or platform.machine() not in ("x86_64", "AMD64"):
        return False
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return dtype == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def fuse(network: nn.Module, dtype: torch.dtype) -> None:
    """Change a network that is ready for inference, in place: convolutions and their activations in sequences
    become oneDNN's operators in `dtype`, what autocast would have them compute in. Only where `can_fuse`."""
    for name, child in network.named_children():
        if (
            isinstance(child, UpStep) and dtype == torch.float32
        ):  # bfloat16's products cost less than the copies
            setattr(network, name, FusedUpStep(child))
        elif isinstance(child, OutputConv) and _has_few_outputs(child):
            setattr(network, name, FusedOutputConv(child))
        elif isinstance(child, PointwiseConv) and child.full:
            setattr(network, name, FusedPointwise(child, None, torch.float32))
        else:
            fuse(child, dtype)
    if isinstance(network, nn.Sequential):
        for index, layer in enumerate(network):
            if isinstance(layer, OutputConv):
                continue
            if isinstance(layer, nn.Conv2d | PointwiseConv):
                _fuse_at(network, index, layer, dtype)


def _has_few_outputs(conv: OutputConv) -> bool:
    """And nothing but a 3x3 kernel."""
    shape = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups)
    return shape == ((3, 3), (1, 1), (1, 1), (1, 1), 1) and conv.out_channels <= 4


def _fuse_at(layers: nn.Sequential, index: int, layer: nn.Conv2d | PointwiseConv, dtype: torch.dtype) -> None:
    after = index + 1
    while after < len(layers) and isinstance(layers[after], nn.Identity):
        after += 1
    activation = layers[after] if after < len(layers) and type(layers[after]) in _ACTIVATIONS else None
    if activation is not None:
        layers[after] = nn.Identity()
    if isinstance(layer, PointwiseConv):
        layers[index] = FusedPointwise(layer, activation, dtype)
    else:
        layers[index] = FusedConv(layer, activation, dtype)


def ready_for_inference(network: nn.Module) -> None:
    """Change `network`, in evaluation mode, in place: `fold_batch_norm`, and 1x1 convolutions become
    `PointwiseConv`. It cannot be trained or saved as weights any more; its results are the same to float32
    rounding."""
    fold_batch_norm(network)
    _use_pointwise(network)


def _use_pointwise(network: nn.Module) -> None:
    for name, child in network.named_children():
        _use_pointwise(child)
        if _is_pointwise(child) and (isinstance(network, nn.Sequential) or isinstance(child, OutputConv)):
            assert isinstance(child, nn.Conv2d)
            setattr(network, name, PointwiseConv(child))


def fold_batch_norm(network: nn.Module) -> None:
    """Change `network`, in evaluation mode, in place: in its sequences of layers, batch normalisation becomes
    part of the convolution or the linear layer before it. Its results are the same to float32 rounding."""
    for module in network.modules():
        if isinstance(module, nn.Sequential):
            _fold(module)


def _fold(layers: nn.Sequential) -> None:
    for index in range(len(layers) - 1):
        first, second = layers[index], layers[index + 1]
        if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
            layers[index], layers[index + 1] = fuse_conv_bn_eval(first, second), nn.Identity()
        elif isinstance(first, nn.Linear) and isinstance(second, nn.BatchNorm1d):
            layers[index], layers[index + 1] = fuse_linear_bn_eval(first, second), nn.Identity()


def _is_pointwise(layer: nn.Module) -> bool:
    return (
        isinstance(layer, nn.Conv2d)
        and layer.kernel_size == (1, 1)
        and layer.stride == (1, 1)
        and layer.groups == 1
    )
