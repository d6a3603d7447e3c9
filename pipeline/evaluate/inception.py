"""Inception features, for the FID that papers print. The weights are the user's: none are shipped."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError, ImageFailure
from pipeline.models.methods.onnx.graph import read_graph
from pipeline.models.methods.onnx.session import Session
from pipeline.models.weights_location import fetch_weights, is_onnx

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

SIDE = 299
FEATURES = 2048
_WHERE = "configuration key 'evaluate.inception'"


class Inception:
    """A file that takes RGB float32[N,3,299,299] in [-1, 1] and gives float32[N,2048]: the pooled features of
    InceptionV3 with the weights of the FID's authors, as an ONNX or TorchScript file.

    Pictures are brought to 299 x 299 without keeping their proportions, bilinear, as pytorch-fid does it.
    Source: Heusel, Ramsauer, Unterthiner, Nessler, Hochreiter, NeurIPS 2017, section 1.

    Raises ConfigError for a file that cannot be had or loaded, or gives other features.
    """

    def __init__(self, uri: str, storage: StorageConfig | None = None, device: str = "cpu") -> None:
        data, _ = fetch_weights(uri, storage)
        self._device = torch.device(device)
        self._run = _of_onnx(data, uri, device) if is_onnx(uri) else _of_torchscript(data, uri, self._device)
        shape = tuple(self(np.zeros((1, SIDE, SIDE, 3), np.uint8)).shape)
        if shape != (1, FEATURES):
            raise ConfigError(
                f"{_WHERE}: {uri} gives {shape[1]} features for a picture; FID is of Inception's {FEATURES}"
            )

    @torch.inference_mode()
    def __call__(self, images: Sequence[U8] | U8) -> F32:
        """Features float32[N,2048] of images uint8[H,W,3] sRGB, each of any size."""
        batch = [
            F.interpolate(
                torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255,
                size=(SIDE, SIDE), mode="bilinear", align_corners=False,
            )
            for image in images
        ]  # fmt: skip
        features = self._run(2 * torch.cat(batch) - 1)
        return np.ascontiguousarray(features.reshape(len(batch), -1), np.float32)


def _of_onnx(data: bytes, uri: str, device: str) -> Callable[[Tensor], F32]:
    graph = read_graph(data, uri)
    if len(graph.inputs) != 1 or not graph.outputs:
        raise ConfigError(f"{_WHERE}: {uri} must have one input, and features as its first output")
    session, (name,), output = Session(data, uri, device), graph.inputs, next(iter(graph.outputs))

    def run(rgb_N3HW: Tensor) -> F32:
        try:
            return np.concatenate([session({name: one[None].numpy()}, output) for one in rgb_N3HW])
        except ImageFailure as failure:
            raise ConfigError(f"{_WHERE}: {uri} does not run: {failure.message}") from None

    return run


def _of_torchscript(data: bytes, uri: str, device: torch.device) -> Callable[[Tensor], F32]:
    try:
        network = torch.jit.load(io.BytesIO(data), map_location=device).eval()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        line = " ".join(str(error).split())[:200]
        raise ConfigError(f"{_WHERE}: {uri} is neither ONNX (NAME.onnx) nor TorchScript: {line}") from None

    def run(rgb_N3HW: Tensor) -> F32:
        try:
            features = network(rgb_N3HW.to(device))
            first = features if isinstance(features, Tensor) else features[0]
        except (RuntimeError, IndexError, TypeError) as error:
            line = " ".join(str(error).split())[:200]
            raise ConfigError(f"{_WHERE}: {uri} does not run: {line}") from None
        return np.asarray(first.float().cpu().numpy(), np.float32)

    return run
