"""Every colouring method by name, and the one way to load one."""

from __future__ import annotations

import torch

from pipeline.config import StorageConfig
from pipeline.errors import ConfigError, WeightsError
from pipeline.models.base import Colorizer, LoadedColorizer, resolve_precision
from pipeline.models.iizuka import IizukaColorizer
from pipeline.models.weights import SHIPPED, Weights, WeightsInfo, fetch_weights, load_weights

METHODS: dict[str, type[IizukaColorizer]] = {IizukaColorizer.method: IizukaColorizer}


def _location(method: str, weights: str | None) -> str:
    if method not in METHODS:
        raise ConfigError(f"unknown method {method!r}; there are: {', '.join(METHODS)}")
    if weights is not None:
        return weights
    shipped = SHIPPED / f"{method}.safetensors"
    if not shipped.exists():
        raise WeightsError(f"no weights ship with the method {method!r}; name some with --weights")
    return str(shipped)


def weights_digest(method: str, weights: str | None, *, storage: StorageConfig | None = None) -> str:
    """SHA-256 (64 hex digits) of the weights file; no network is built.

    `weights`: a path or URI, optionally with `#sha256=HEX`, or None for the shipped default. Raises
    ConfigError for an unknown method, WeightsError as `fetch_weights` does.
    """
    return fetch_weights(_location(method, weights), storage)[1]


def weights_info(method: str, weights: str | None, *, storage: StorageConfig | None = None) -> WeightsInfo:
    """What the weights file says about itself. Raises as `load_colorizer` does."""
    return load_weights(_location(method, weights), method, storage).info


def load_colorizer(
    method: str,
    weights: str | None,
    *,
    precision: str = "auto",
    device: str = "cpu",
    storage: StorageConfig | None = None,
) -> LoadedColorizer:
    """A colorizer in evaluation mode on `device`, its digest, and the precision that "auto" came to.

    `storage` says how an S3 server with the weights is reached; local paths need none.

    Raises ConfigError for an unknown method, WeightsError for weights that are missing, damaged, of another
    digest or method, ValueError for an unknown precision.
    """
    loaded = load_weights(_location(method, weights), method, storage)
    colorizer: Colorizer = build_colorizer(loaded)
    colorizer.precision = resolve_precision(precision, device)
    colorizer.to(torch.device(device), memory_format=torch.channels_last)  # type: ignore[call-overload]
    return LoadedColorizer(colorizer.eval(), method, loaded.digest, colorizer.precision)


def build_colorizer(weights: Weights) -> IizukaColorizer:
    """The network that the metadata describes, filled, float32, in evaluation mode. Raises WeightsError where
    tensors and metadata do not fit each other."""
    try:
        colorizer = METHODS[weights.info.method](**weights.info.architecture)
        missing, unexpected = colorizer.load_state_dict(weights.tensors, strict=False)
    except (TypeError, RuntimeError) as error:
        line = " ".join(str(error).split())[:200]
        raise WeightsError(f"weights of sha256 {weights.digest} do not fit their metadata: {line}") from None
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise WeightsError(f"weights of sha256 {weights.digest}: missing {missing}, unexpected {unexpected}")
    return colorizer.eval()
