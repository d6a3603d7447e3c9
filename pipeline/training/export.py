"""From a run's newest checkpoint to a weights file: whole, or one of the network's variants, or louder."""

from __future__ import annotations

from dataclasses import replace

from pipeline.config import StorageConfig
from pipeline.errors import ConfigError
from pipeline.models.registry import build_colorizer
from pipeline.models.weights import Weights, decode_weights, encode_weights
from pipeline.storage import open_store


def exported(data: bytes, variant: str | None = None, gain: float | None = None) -> bytes:
    """The weights file `data` with what was asked for changed, and its provenance saying so.

    `variant`: a network of its own out of one with several heads (`TrainableColorizer.variants`); `gain`: a
    factor on the predicted chroma, for networks that take one. Raises ConfigError where the network has no
    such thing.
    """
    if variant is None and gain is None:
        return data
    tensors, info = decode_weights(data, "the checkpoint's weights")
    colorizer = build_colorizer(Weights(tensors, info, "of the checkpoint"))
    if variant is not None:
        try:
            colorizer = colorizer.variant(variant)
        except ValueError as error:
            raise ConfigError(f"--variant {variant}: {error}") from None
    architecture = colorizer.architecture()
    if gain is not None:
        if "gain" not in architecture:
            raise ConfigError(f"--gain {gain:g}: the method {info.method} takes no gain")
        architecture["gain"] = gain
    said = {"variant": variant} if variant is not None else {}
    changed = replace(info, architecture=architecture, provenance=info.provenance | said)
    return encode_weights(colorizer.state_dict(), changed)


def write_weights(data: bytes, target: str, storage: StorageConfig) -> None:
    """Put a weights file at a path or URI. Raises StorageError as the store does."""
    folder, _, name = target.rpartition("/")
    if not name:
        raise ConfigError(f"cannot write weights to {target!r}: name a file, not a folder")
    store = open_store(folder or ("/" if target.startswith("/") else "."), storage)
    store.check_writable()
    store.put(name, data)
