"""Third-party networks: an ONNX graph and its contract as a `Colorizer`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import WeightsError
from pipeline.models.base import Colorizer
from pipeline.models.methods.onnx.contract import PICTURES, Contract, Input
from pipeline.models.methods.onnx.graph import Graph, channels_of
from pipeline.models.methods.onnx.session import Session
from pipeline.models.methods.onnx.signals import (
    chroma_of,
    enlarged,
    hint_values,
    output_values,
    picture_values,
    resized,
    seen_size,
)

F32 = NDArray[np.float32]


class OnnxColorizer(Colorizer):
    """Colours with an ONNX graph. Its contract describes inputs and outputs.

    `threads`: the cores that it may use.
    """

    method: ClassVar[str] = "onnx"

    def __init__(
        self, data: bytes, graph: Graph, contract: Contract, device: str = "cpu", threads: int = 1
    ) -> None:
        super().__init__()
        self.contract = contract
        self.graph = graph
        self._session = Session(data, contract.name, device, threads)
        self._batches = all(port.dims[:1] == (None,) for port in graph.inputs.values())

    def predict_ab(self, L_B1HW: Tensor, guides: Mapping[str, Tensor] | None = None) -> Tensor:
        """As `Colorizer.predict_ab`; h, w are H, W, or the graph's own where that is finer.

        Raises ImageFailure where the graph fails for these pictures.
        """
        self.check_input(L_B1HW, guides)
        hints = self.picture_guide(guides, "scribbles", 3, len(L_B1HW))
        L_BHW = np.ascontiguousarray(L_B1HW[:, 0].float().cpu().numpy())
        hints_B = None if hints is None else hints.float().cpu().numpy()
        L_Bhw, values = self.run(L_BHW, hints_B)
        space, recombine = self.contract.output.space, self.contract.recombine
        ab = [
            enlarged(chroma_of(one, space, recombine, L_hw), L_hw, L_HW)
            for one, L_hw, L_HW in zip(values, L_Bhw, L_BHW, strict=True)
        ]
        return torch.from_numpy(np.stack(ab)).to(L_B1HW.device)

    def run(self, L_BHW: F32, hints_B3hw: F32 | None = None) -> tuple[F32, F32]:
        """The graph's output in our units, float32[B,C,h,w], and before it L* of its size, float32[B,h,w].

        Raises ImageFailure where the graph fails, or gives a shape that its contract does not say.
        """
        height, width = seen_size(self.contract.size, *L_BHW.shape[1:])
        feeds = {
            one.name: self._feed(one, L_BHW, hints_B3hw, (height, width)) for one in self.contract.inputs
        }
        output = self.contract.output
        if self._batches or len(L_BHW) == 1:
            raw = self._session(feeds, output.name)
        else:
            singles = ({name: f[i : i + 1] for name, f in feeds.items()} for i in range(len(L_BHW)))
            raw = np.concatenate([self._session(single, output.name) for single in singles])
        wanted = (len(L_BHW), 3 if output.space == "rgb" else 2, height // output.grid, width // output.grid)
        if raw.shape != wanted:
            raise WeightsError(
                f"the graph {self.contract.name} gives {list(raw.shape)} where its contract says "
                f"{list(wanted)}: correct output.space or output.grid"
            )
        L_Bhw = np.stack([resized(L_HW, wanted[2:]) for L_HW in L_BHW])
        return L_Bhw, np.stack([output_values(output, one) for one in raw])

    def _feed(self, one: Input, L_BHW: F32, hints_B3hw: F32 | None, shape: tuple[int, int]) -> F32:
        if one.role in PICTURES:
            at = shape if one.side is None else (one.side, one.side)
            channels = channels_of(one, self.graph.inputs[one.name])
            return np.stack([picture_values(one, resized(L_HW, at), channels) for L_HW in L_BHW])
        given = [None] * len(L_BHW) if hints_B3hw is None else list(hints_B3hw)
        return np.stack([hint_values(one, hints, shape) for hints in given])


class HintedOnnxColorizer(OnnxColorizer):
    """A graph that takes scribbles and points itself, B x 3 x h x w: a, b in Lab units and confidence."""

    guides: ClassVar[frozenset[str]] = frozenset({"scribbles"})


def open_graph(
    data: bytes, graph: Graph, contract: Contract, device: str = "cpu", threads: int = 1
) -> OnnxColorizer:
    """The colorizer of a graph that fits its contract. Raises WeightsError where it cannot be loaded."""
    kind = HintedOnnxColorizer if contract.takes_hints else OnnxColorizer
    return kind(data, graph, contract, device, threads)
