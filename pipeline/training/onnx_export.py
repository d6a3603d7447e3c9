"""Export our own networks as ONNX files that contain their contract, for other programs."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.onnx import utils as symbolic

from pipeline import __version__
from pipeline.errors import ConfigError, ImageFailure, WeightsError
from pipeline.models.base import TrainableColorizer
from pipeline.models.method_list import build_colorizer
from pipeline.models.methods.onnx.contract import METADATA_KEY, Contract, Probe, contract_of
from pipeline.models.methods.onnx.graph import check_fit, import_onnx, read_graph
from pipeline.models.methods.onnx.model import OnnxColorizer, open_graph
from pipeline.models.methods.onnx.probe import probe_lightness, run_probe
from pipeline.models.weights import Weights, decode_weights
from pipeline.models.weights_location import is_onnx

SIDE, MULTIPLE = 384, 32
MOST_APART = 0.5
"""Lab units: most that onnxruntime may differ from the network itself, at any place."""

_OPSET = 18  # the first whose Resize has an antialiasing filter
_TRACED = (SIDE, 256)
_CHECKED = ((SIDE, 256), (224, 320))  # of other proportions than was traced: sizes must not be baked in


class _Door(nn.Module):
    """`predict_ab` as a module, which is what torch exports."""

    def __init__(self, network: TrainableColorizer) -> None:
        super().__init__()
        self.network = network

    def forward(self, L_B1HW: Tensor) -> Tensor:
        return self.network.predict_ab(L_B1HW)


@dataclass(frozen=True)
class Terms:
    """The licence stated in an exported file. Without one it is non-commercial, because the licences of the
    training photographs are unknown here."""

    licence: str | None = None
    non_commercial: bool = False


NOT_STATED = Terms()


def in_format_of(target: str, data: bytes, terms: Terms) -> bytes:
    """A weights file as it is, or where `target` ends with .onnx as `onnx_file`, which see for errors."""
    if not is_onnx(target):
        if terms != NOT_STATED:
            raise ConfigError(
                "--licence and --non-commercial are for --export NAME.onnx: weights files have a card"
            )
        return data
    tensors, info = decode_weights(data, "the weights")
    name = re.sub(r"[^A-Za-z0-9._-]", "-", Path(target).stem).lstrip("._-") or "exported"
    return onnx_file(Weights(tensors, info, hashlib.sha256(data).hexdigest()), name, terms)


def onnx_file(weights: Weights, name: str, terms: Terms) -> bytes:
    """The network of these weights as an ONNX file of float32, with its contract in the metadata.

    Input "L": L*, N x 1 x H x W, H and W multiples of 32; output "ab": a and b in Lab units.

    Raises:
        ConfigError: the network computes something that ONNX does not hold: onnxruntime gives other colours,
            or none. Also where the packages are not installed.
    """
    onnx = import_onnx()
    network = build_colorizer(weights)
    if not network.exportable:
        raise _refusal(weights.info.method, "what leaves the network is worked on without it")
    model = onnx.load_model_from_string(_traced(network, weights.info.method))
    data = model.SerializeToString()
    contract = _contract(weights, name, terms, _grid(network))
    probed = _checked(network, data, contract)
    contract = contract.model_copy(update={"probe": Probe(mean_ab=probed, tolerance=MOST_APART)})
    onnx.helper.set_model_props(model, {METADATA_KEY: contract.model_dump_json(exclude_none=True)})
    written: bytes = model.SerializeToString()
    return written


def _traced(network: TrainableColorizer, method: str) -> bytes:
    symbolic.register_custom_op_symbolic("aten::_upsample_bilinear2d_aa", _antialiased, _OPSET)
    file, example = io.BytesIO(), torch.linspace(0, 100, _TRACED[0] * _TRACED[1]).reshape(1, 1, *_TRACED)
    free = {"L": {0: "batch", 2: "height", 3: "width"}, "ab": {0: "batch", 2: "h", 3: "w"}}
    try:
        with warnings.catch_warnings():  # of the tracer: what it bakes in shows in `_checked`
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _Door(network).eval(), (example,), file,  # type: ignore[arg-type]  # where it is not dynamo
                dynamo=False, opset_version=_OPSET,
                input_names=["L"], output_names=["ab"], dynamic_axes=free,
            )  # fmt: skip
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError) as error:
        raise _refusal(method, " ".join(str(error).split())[:120]) from None
    return file.getvalue()


def _antialiased(g: Any, x: Any, size: Any, align_corners: Any, *scales: Any) -> Any:
    """torch's bilinear filter as wide as the scale, as ONNX's Resize (opset 18)."""
    from torch.onnx import symbolic_helper

    def constant(values: list[int]) -> Any:
        return g.op("Constant", value_t=torch.tensor(values))

    batch_and_channels = g.op("Slice", g.op("Shape", x), constant([0]), constant([2]))
    wanted = constant(symbolic_helper._maybe_get_const(size, "is"))
    sizes = g.op("Concat", batch_and_channels, wanted, axis_i=0)
    none = g.op("Constant", value_t=torch.tensor([], dtype=torch.float32))
    half_pixel = {"coordinate_transformation_mode_s": "half_pixel"}
    return g.op("Resize", x, none, none, sizes, mode_s="linear", antialias_i=1, **half_pixel)


def _grid(network: TrainableColorizer) -> int:
    return SIDE // network.predict_ab(torch.zeros(1, 1, SIDE, SIDE)).shape[-1]


def _contract(weights: Weights, name: str, terms: Terms, grid: int) -> Contract:
    method = weights.info.method
    fields: Mapping[str, Any] = {
        "name": name,
        "licence": terms.licence or "not stated",
        "non_commercial": terms.non_commercial or not terms.licence,
        "source": f"Fiat Color {__version__}, method {method}, weights sha256:{weights.digest}",
        "inputs": [{"name": "L", "role": "picture", "holds": "L", "range": [0, 100]}],
        "size": {"fit": "keep", "side": SIDE, "multiple_of": MULTIPLE},
        "output": {"name": "ab", "space": "ab", "grid": grid},
        "recombine": "lab",
    }
    return contract_of(fields, name)


def _checked(network: TrainableColorizer, data: bytes, contract: Contract) -> tuple[float, float]:
    """The probe's mean a and b, when onnxruntime gives what the network gives."""
    method, graph = network.method, read_graph(data, contract.name)
    try:
        check_fit(graph, contract, contract.name)
        exported = open_graph(data, graph, contract)
        apart = max(_apart(network, exported, size) for size in _CHECKED)
        mean_ab = run_probe(exported).mean_ab
    except (WeightsError, ImageFailure, RuntimeError) as error:
        raise _refusal(method, str(error)) from None
    if not apart < MOST_APART:
        raise _refusal(method, f"onnxruntime's colours are {apart:.1f} Lab units off")
    return round(mean_ab[0], 3), round(mean_ab[1], 3)


def _apart(network: TrainableColorizer, exported: OnnxColorizer, size: tuple[int, int]) -> float:
    """Largest difference in a or b over a picture of this size, seen as it is."""
    picture = torch.from_numpy(probe_lightness())[None, None]
    L_B1HW = nn.functional.interpolate(picture, size, mode="bilinear", align_corners=False)
    _, (ab_2hw,) = exported.run(L_B1HW[:, 0].numpy())
    own = network.predict_ab(L_B1HW)[0].numpy()
    return float(np.abs(ab_2hw - own).max()) if ab_2hw.shape == own.shape else float("inf")


def _refusal(method: str, reason: str) -> ConfigError:
    return ConfigError(
        f"the method {method!r} cannot be exported to ONNX, because a part of it runs outside the network: "
        f"{reason}"
    )
