"""ONNX graphs with the names, shapes, ranges and quirks of the published graphs, but with known colours.

Each is a closed-form function of the lightness, so that a wrong number in a contract shows in the colours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pipeline.color import spaces

F64 = NDArray[np.float64]

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, inside DDColor and DeOldify
TINT = (0.06, 0.0, -0.05)  # what the RGB graphs add to the gray


def gray_of(L: F64) -> F64:
    """The sRGB level in [0, 1] of a gray of lightness L*."""
    return np.asarray(spaces.linear_to_srgb(spaces.lab_f_inverse((L + 16) / 116)), np.float64)


def _of_gray(L: F64) -> F64:
    gray = gray_of(L)
    return np.stack([24 * gray - 4, 30 * gray - 9])


def _tinted(L: F64) -> F64:
    """a and b of the colours whose U and V are those of the tint, at the photograph's lightness."""
    uv = spaces.srgb_to_yuv(np.array(TINT))[1:]
    return np.moveaxis(spaces.uv_to_ab(L, np.broadcast_to(uv, (*L.shape, 2)).copy()), -1, 0)


def _of_l(L: F64) -> F64:
    unit = (L - 50) / 100
    return np.stack([110 * (0.2 * unit + 0.06), 110 * (0.1 - 0.3 * unit)])


def build(
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, Sequence[int | str]],
    output: tuple[str, Sequence[int | str]],
    constants: dict[str, NDArray[np.generic]],
    dtype: int = TensorProto.FLOAT,
    opset: int = 17,
    domains: Sequence[str] = (),
) -> onnx.ModelProto:
    """A model of these nodes; a dimension given as a word is dynamic."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(name, dtype, list(shape)) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(output[0], dtype, list(output[1]))],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    model = helper.make_model(graph, opset_imports=imports)
    model.ir_version = 8
    return model


def _conv(weight: Sequence[Sequence[float]], bias: Sequence[float]) -> dict[str, NDArray[np.generic]]:
    return {
        "weight": np.array(weight, np.float32)[:, :, None, None],
        "bias": np.array(bias, np.float32),
    }


def _channels(values: Sequence[float]) -> NDArray[np.float32]:
    return np.array(values, np.float32)[None, :, None, None]


def ddcolor(side: int | None) -> onnx.ModelProto:
    """Gray RGB of L in [0, 1] in, ImageNet's mean and deviation inside, a and b in Lab units out."""
    free = ("height", "width") if side is None else (side, side)
    nodes = [
        helper.make_node("Sub", ["input", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "std"], ["normal"]),
        helper.make_node("Conv", ["normal", "weight", "bias"], ["output"]),
    ]
    # a third of each channel, taken back from normal numbers to gray
    weight = [[k * std / 3 for std in _STD] for k in (24, 30)]
    bias = [k * sum(_MEAN) / 3 + c for k, c in ((24, -4), (30, -9))]
    constants = _conv(weight, bias) | {"mean": _channels(_MEAN), "std": _channels(_STD)}
    return build(nodes, {"input": (1, 3, *free)}, ("output", (1, 2, *free)), constants, opset=12)


def deoldify() -> onnx.ModelProto:
    """Gray of 0 to 255 in three channels in, RGB of 0 to 255 out, clamped."""
    nodes = [
        helper.make_node("Div", ["input", "white"], ["unit"]),
        helper.make_node("Add", ["unit", "tint"], ["tinted"]),
        helper.make_node("Clip", ["tinted", "zero", "one"], ["clamped"]),
        helper.make_node("Mul", ["clamped", "white"], ["output"]),
    ]
    constants: dict[str, NDArray[np.generic]] = {
        "white": np.float32(255)[None], "tint": _channels(TINT),
        "zero": np.array(0, np.float32), "one": np.array(1, np.float32),
    }  # fmt: skip
    shape = (1, 3, "height", "width")
    return build(nodes, {"input": shape}, ("output", shape), constants, opset=12)


def eccv16() -> onnx.ModelProto:
    """L* of 0 to 100 in, centred inside, a and b reduced to a quarter of the size and back, in Lab units."""
    shape, quarter = (1, 1, 256, 256), np.array([1, 1, 0.25, 0.25], np.float32)
    nodes = [
        helper.make_node("Sub", ["input", "middle"], ["centred"]),
        helper.make_node("Div", ["centred", "hundred"], ["unit"]),
        helper.make_node("Resize", ["unit", "", "quarter"], ["small"], mode="linear", antialias=0),
        helper.make_node("Conv", ["small", "weight", "bias"], ["unit_ab"]),
        helper.make_node("Resize", ["unit_ab", "", "four"], ["large"], mode="linear"),
        helper.make_node("Mul", ["large", "limit"], ["output"]),
    ]
    constants = _conv([[0.2], [-0.3]], [0.06, 0.1]) | {
        "middle": np.float32(50)[None], "hundred": np.float32(100)[None], "limit": np.float32(110)[None],
        "quarter": quarter, "four": np.array([1, 1, 4, 4], np.float32),
    }  # fmt: skip
    return build(nodes, {"input": shape}, ("output", (1, 2, 256, 256)), constants, opset=18)


def siggraph17() -> onnx.ModelProto:
    """L*, hints in Lab units and their mask in; the hint where the mask is, elsewhere a function of L*."""
    free = ("height", "width")
    nodes = [
        helper.make_node("Sub", ["L", "middle"], ["centred"]),
        helper.make_node("Div", ["centred", "hundred"], ["unit"]),
        helper.make_node("Conv", ["unit", "weight", "bias"], ["own"]),
        helper.make_node("Div", ["hint_ab", "limit"], ["hint"]),
        helper.make_node("Sub", ["hint", "own"], ["apart"]),
        helper.make_node("Mul", ["apart", "hint_mask"], ["change"]),
        helper.make_node("Add", ["own", "change"], ["mixed"]),
        helper.make_node("Mul", ["mixed", "limit"], ["ab"]),
    ]
    constants = _conv([[0.2], [-0.3]], [0.06, 0.1]) | {
        "middle": np.float32(50)[None], "hundred": np.float32(100)[None], "limit": np.float32(110)[None],
    }  # fmt: skip
    inputs = {"L": (1, 1, *free), "hint_ab": (1, 2, *free), "hint_mask": (1, 1, *free)}
    return build(nodes, inputs, ("ab", (1, 2, *free)), constants)


@dataclass(frozen=True)
class Published:
    """A graph as published, and the a and b, [2,...], that it returns for lightness [...]."""

    make: Callable[[], onnx.ModelProto]
    ab: Callable[[F64], F64]


PUBLISHED = {
    "ddcolor": Published(lambda: ddcolor(None), _of_gray),
    "ddcolor_artistic": Published(lambda: ddcolor(None), _of_gray),
    "ddcolor_large": Published(lambda: ddcolor(512), _of_gray),
    "ddcolor_tiny": Published(lambda: ddcolor(512), _of_gray),
    "deoldify": Published(deoldify, _tinted),
    "deoldify_artistic": Published(deoldify, _tinted),
    "deoldify_stable": Published(deoldify, _tinted),
    "eccv16": Published(eccv16, _of_l),
    "siggraph17": Published(siggraph17, _of_l),
}
"""By the name of the ready contract."""


def soft_picture(height: int = 420, width: int = 600) -> F64:
    """L* float64[height,width] between 43 and 67, without steps, and flat at its ends, where the samples of a
    coarse grid end, as in the published graphs."""
    across, down = (np.pi * (np.arange(n) + 0.5) / n for n in (width, height))
    return np.asarray(55 + 8 * np.cos(2 * across) * np.cos(2 * down)[:, None] + 4 * np.cos(across))
