"""All colouring methods by name, their shipped weights, and the function that loads them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import torch

from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError, WeightsError
from pipeline.models.base import Colorizer, LoadedColorizer, TrainableColorizer, resolve_precision
from pipeline.models.inference import can_fuse, fuse, ready_for_inference
from pipeline.models.methods.borrowed import BorrowedColorizer
from pipeline.models.methods.classification_cnn import ClassificationCnn
from pipeline.models.methods.gray import GrayColorizer
from pipeline.models.methods.iizuka import IizukaColorizer
from pipeline.models.methods.onnx import OnnxColorizer
from pipeline.models.methods.onnx.weights import OnnxWeights, read_onnx
from pipeline.models.methods.patch import PatchColorizer
from pipeline.models.methods.reference import ReferenceColorizer, WelshColorizer
from pipeline.models.methods.regression_cnn import RegressionCnn
from pipeline.models.methods.scribble import ScribbleColorizer
from pipeline.models.methods.unet import UnetColorizer
from pipeline.models.names import location
from pipeline.models.shipped_cards import name_of, shipped_cards
from pipeline.models.weights import Weights, WeightsInfo, load_weights
from pipeline.models.weights_location import fetch_weights, is_onnx
from pipeline.records import ModelCard

NETWORKS: dict[str, type[TrainableColorizer]] = {
    method_class.method: method_class
    for method_class in (IizukaColorizer, RegressionCnn, ClassificationCnn, UnetColorizer, PatchColorizer)
}
"""The methods that learn, and colour with weights."""

# Every process imports all methods. They import only the packages scipy and skimage, whose parts load on use,
# because loading them all would take a fifth of the start-up time.
SOLVERS: dict[str, type[Colorizer]] = {
    method_class.method: method_class
    for method_class in (
        ScribbleColorizer,
        ReferenceColorizer,
        WelshColorizer,
        BorrowedColorizer,
        GrayColorizer,
    )
}
"""The methods without weights, which colour by guides alone or not at all."""

METHODS: dict[str, type[Colorizer]] = {**NETWORKS, **SOLVERS, OnnxColorizer.method: OnnxColorizer}


@dataclass(frozen=True)
class OpenedWeights:
    """The content of a weights file, read once.

    Attributes:
        method: the registry name of the method that it is for.
        digest: SHA-256 of the file, 64 hex digits; of a solver that of its name and revision.
        guides: what these weights take besides luminance.
        weights: tensors and metadata; None for a solver, which has none, and for an ONNX file.
        onnx: an ONNX file with its contract; None for all else.
    """

    method: str
    digest: str
    guides: frozenset[str]
    weights: Weights | None
    onnx: OnnxWeights | None = None

    @property
    def card(self) -> ModelCard | None:
        """The card of shipped weights, or the terms in third-party weights; None for the user's own."""
        if self.onnx is not None:
            return self.onnx.card
        name = name_of(self.digest)
        if name is None:
            return None
        own = shipped_cards()[name]
        page = f"pipeline/weights/{own.page}"
        return ModelCard(name, own.licence, own.non_commercial, page, self.digest)


def open_weights(
    method: str | None,
    weights: str | None,
    *,
    storage: StorageConfig | None = None,
    contract: str | dict[str, Any] | None = None,
) -> OpenedWeights:
    """Read the weights file once; no network is built.

    `weights`: a path or URI, optionally with `#sha256=HEX`, the name of shipped weights, or None for the
    method's default; `method` None takes the one that the weights are for; `contract` is that of an ONNX
    file, as for `models.methods.onnx.find.find_contract`.

    Raises ConfigError for an unknown method, WeightsError for weights that are missing, damaged, of another
    digest or method.
    """
    if is_onnx(weights):
        onnx = _read_onnx(method, weights, storage, contract)
        guides = frozenset({"scribbles"} if onnx.contract.takes_hints else ())
        return OpenedWeights(OnnxColorizer.method, onnx.digest, guides, None, onnx)
    if contract is not None:
        raise ConfigError("configuration key 'model.contract': only ONNX weights (NAME.onnx) have one")
    if method in SOLVERS and weights is None:
        solver = SOLVERS[method]
        return OpenedWeights(method, weights_digest(method, None), solver.guides, None)
    loaded = load_weights(location(method, weights), method, storage)
    network = NETWORKS.get(loaded.info.method)
    if network is None:
        known = ", ".join(NETWORKS)
        raise WeightsError(
            f"the weights are for the unknown method {loaded.info.method!r}; there are: {known}"
        )
    guides = network.guides_of(loaded.info.architecture)
    return OpenedWeights(loaded.info.method, loaded.digest, guides, loaded)


def _read_onnx(
    method: str | None,
    weights: str | None,
    storage: StorageConfig | None,
    contract: str | dict[str, Any] | None,
) -> OnnxWeights:
    if method not in (None, OnnxColorizer.method):
        raise WeightsError(f"weights {weights} are for the method {OnnxColorizer.method!r}, not {method!r}")
    assert weights is not None
    return read_onnx(weights, storage, contract)


def weights_digest(method: str | None, weights: str | None, *, storage: StorageConfig | None = None) -> str:
    """SHA-256 (64 hex digits) of the weights file, or of a solver's name and revision; of an ONNX file with
    its contract. Nothing is built.

    `weights`: a path or URI, optionally with `#sha256=HEX`, the name of shipped weights, or None for the
    method's default. Raises ConfigError for an unknown method, WeightsError as `fetch_weights` does.
    """
    if method in SOLVERS and weights is None:
        return hashlib.sha256(f"{method} {SOLVERS[method].revision}".encode()).hexdigest()
    if is_onnx(weights):
        return _read_onnx(method, weights, storage, None).digest
    return fetch_weights(location(method, weights), storage)[1]


def weights_info(
    method: str | None, weights: str | None, *, storage: StorageConfig | None = None
) -> WeightsInfo:
    """What the weights file says about itself. Raises as `load_colorizer` does, and WeightsError for an ONNX
    file, which says nothing of a training."""
    if is_onnx(weights):
        raise WeightsError(f"the weights {weights} are an ONNX network, which colours and cannot be trained")
    return load_weights(location(method, weights), method, storage).info


def load_colorizer(
    method: str | None,
    weights: str | None,
    *,
    precision: str = "auto",
    device: str = "cpu",
    storage: StorageConfig | None = None,
    contract: str | dict[str, Any] | None = None,
    threads: int = 1,
) -> LoadedColorizer:
    """A colorizer in evaluation mode on `device`, its digest, and the precision that "auto" selected.

    `method` None takes the one that the weights are for; both None is the default of the whole project.
    `storage` says how to reach an S3 server with the weights; not needed for local paths. `contract` as for
    `open_weights`; the precision of an ONNX file is its own, and it alone computes on `threads` cores.

    Raises ConfigError for an unknown method, WeightsError for weights that are missing, damaged, of another
    digest or method, ValueError for an unknown precision.
    """
    if method in SOLVERS and weights is None:
        solver = SOLVERS[method]()
        solver.precision = resolve_precision("fp32", device)  # the only one there is
        return LoadedColorizer(solver.eval(), method, weights_digest(method, None), solver.precision)
    if is_onnx(weights):
        onnx = _read_onnx(method, weights, storage, contract)
        graph = onnx.open(device, threads)
        return LoadedColorizer(graph.eval(), graph.method, onnx.digest, graph.precision)
    loaded = load_weights(location(method, weights), method, storage)
    colorizer: Colorizer = build_colorizer(loaded)
    ready_for_inference(colorizer)
    colorizer.precision = resolve_precision(precision, device)
    colorizer.to(torch.device(device), memory_format=torch.channels_last)  # type: ignore[call-overload]
    dtype = torch.bfloat16 if colorizer.precision == "bf16" else torch.float32
    if can_fuse(torch.device(device), dtype):
        fuse(colorizer, dtype)
    return LoadedColorizer(colorizer.eval(), loaded.info.method, loaded.digest, colorizer.precision)


def build_colorizer(weights: Weights) -> TrainableColorizer:
    """The network that the metadata describes, filled, float32, in evaluation mode. Raises WeightsError where
    tensors and metadata do not fit each other."""
    try:
        colorizer = NETWORKS[weights.info.method](**weights.info.architecture)
        missing, unexpected = colorizer.load_state_dict(weights.tensors, strict=False)
    except (TypeError, KeyError, RuntimeError, ValueError) as error:
        line = " ".join(str(error).split())[:200]
        raise WeightsError(f"weights of sha256 {weights.digest} do not fit their metadata: {line}") from None
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise WeightsError(f"weights of sha256 {weights.digest}: missing {missing}, unexpected {unexpected}")
    return colorizer.eval()
