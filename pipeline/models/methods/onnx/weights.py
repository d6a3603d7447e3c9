"""An ONNX file with its contract: read, checked, probed, loaded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from pipeline.config.storage import StorageConfig
from pipeline.models.methods.onnx.contract import Contract, weights_digest_of
from pipeline.models.methods.onnx.find import find_contract
from pipeline.models.methods.onnx.graph import Graph, check_fit, read_graph
from pipeline.models.methods.onnx.model import OnnxColorizer, open_graph
from pipeline.models.methods.onnx.probe import Probed, check_probe
from pipeline.models.weights_location import fetch_weights
from pipeline.records import ModelCard


@dataclass(frozen=True)
class OnnxWeights:
    """An ONNX file that fits its contract; nothing has run yet."""

    data: bytes
    sha256: str
    graph: Graph
    contract: Contract

    @property
    def digest(self) -> str:
        """64 hex digits over the file and what its contract makes of it."""
        return weights_digest_of(self.sha256, self.contract)

    @property
    def card(self) -> ModelCard:
        """The card for plan, summary and metadata."""
        contract = self.contract
        return ModelCard(
            contract.name, contract.licence, contract.non_commercial, contract.source, self.sha256,
            contract.digest(),
        )  # fmt: skip

    def open(self, device: str = "cpu", threads: int = 1) -> OnnxColorizer:
        """The network. Raises WeightsError where onnxruntime cannot load it, ConfigError without a GPU."""
        return open_graph(self.data, self.graph, self.contract, device, threads)

    def probe(self) -> Probed:
        """Colour the probe's picture on all cores of this machine. Raises as `check_probe`."""
        return check_probe(self.open(threads=os.cpu_count() or 1))


def read_onnx(
    weights: str, storage: StorageConfig | None = None, contract: str | dict[str, Any] | None = None
) -> OnnxWeights:
    """Read an ONNX file once and find its contract.

    `weights`: a path or URI, optionally with `#sha256=HEX`; `contract`: as for `find_contract`.

    Raises:
        WeightsError: the file is missing, damaged, of another digest, reaches outside, or has no contract
            that it fits. ConfigError: the packages are not installed.
    """
    data, sha256 = fetch_weights(weights, storage)
    graph = read_graph(data, weights)
    own = find_contract(weights, sha256, graph, contract, storage)
    check_fit(graph, own, weights)
    return OnnxWeights(data, sha256, graph, own)
