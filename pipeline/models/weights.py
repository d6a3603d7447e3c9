"""Weights files: safetensors with one JSON document of metadata, named by the SHA-256 of their bytes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_safetensors
from safetensors.torch import save as to_safetensors
from torch import Tensor

from pipeline.config.storage import StorageConfig
from pipeline.errors import WeightsError
from pipeline.models.weights_location import fetch_weights

METADATA_KEY = "fiat_color"


@dataclass(frozen=True)
class WeightsInfo:
    """The metadata of a weights file.

    `architecture` rebuilds the network; `mean_ab` is the training set's mean chroma in Lab units (the
    constant tint that a model must beat); `ab_range` and `normalisation` state how ab becomes the
    network's [0, 1];
    `labels` are the classes in order; `provenance` says how the weights were trained, and on what.
    """

    method: str
    architecture: dict[str, Any]
    mean_ab: tuple[float, float]
    ab_range: tuple[float, float]
    normalisation: str
    labels: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Weights:
    """Tensors (float32), what they are for, and the SHA-256 of the file they came from."""

    tensors: dict[str, Tensor]
    info: WeightsInfo
    digest: str


def encode_weights(tensors: dict[str, Tensor], info: WeightsInfo, *, half: bool = True) -> bytes:
    """The bytes of a weights file.

    With `half`, matrices and kernels are stored as float16; vectors (biases, normalisation statistics, whose
    variances can leave float16's range) stay float32. Counters are left out.
    """
    stored = {}
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            dtype = torch.float16 if half and tensor.ndim > 1 else torch.float32
            stored[name] = tensor.detach().to("cpu", dtype).contiguous()
    return to_safetensors(stored, metadata={METADATA_KEY: json.dumps(asdict(info), sort_keys=True)})


def load_weights(uri: str, method: str | None, storage: StorageConfig | None = None) -> Weights:
    """Read, verify and parse. Raises WeightsError for no such file, another digest, no weights file of this
    project, or weights of another method than `method` (None: any)."""
    data, digest = fetch_weights(uri, storage)
    tensors, info = decode_weights(data, uri)
    if method is not None and info.method != method:
        raise WeightsError(f"weights {uri} are for the method {info.method!r}, not {method!r}")
    return Weights(tensors, info, digest)


def parse_weights(data: bytes, name: str) -> Weights:
    """The weights in a file's bytes. `name` is for the message of the WeightsError on damaged data."""
    return Weights(*decode_weights(data, name), hashlib.sha256(data).hexdigest())


def decode_weights(data: bytes, name: str) -> tuple[dict[str, Tensor], WeightsInfo]:
    """Tensors as float32, and metadata. `name` is for the message of the WeightsError on damaged data."""
    try:
        tensors = parse_safetensors(data)
        size = int.from_bytes(data[:8], "little")
        fields = json.loads(json.loads(data[8 : 8 + size])["__metadata__"][METADATA_KEY])
        fields |= {key: tuple(fields[key]) for key in ("mean_ab", "ab_range", "labels")}
        info = WeightsInfo(**fields)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"{name} is not a weights file of this project: {type(error).__name__} {error}"
        ) from None
    return {key: tensor.float() for key, tensor in tensors.items()}, info
