"""From a run's newest checkpoint to a weights file: whole, or one of its variants, or decoded otherwise."""

from __future__ import annotations

from dataclasses import replace

from pipeline.config import StorageConfig
from pipeline.errors import ConfigError
from pipeline.models.registry import build_colorizer
from pipeline.models.weights import Weights, decode_weights, encode_weights
from pipeline.storage import open_store


def exported(data: bytes, variant: str | None = None, decoding: dict[str, float] | None = None) -> bytes:
    """The weights file `data` with what was asked for changed, and its provenance saying so.

    `variant`: a network of its own out of one with several heads (`TrainableColorizer.variants`);
    `decoding`: values for what `TrainableColorizer.decoding` names. Raises ConfigError where the network
    has no such thing.
    """
    if variant is None and not decoding:
        return data
    tensors, info = decode_weights(data, "the checkpoint's weights")
    colorizer = build_colorizer(Weights(tensors, info, "of the checkpoint"))
    if variant is not None:
        try:
            colorizer = colorizer.variant(variant)
        except ValueError as error:
            raise ConfigError(f"--variant {variant}: {error}") from None
    architecture = colorizer.architecture()
    for name, value in (decoding or {}).items():
        if name not in colorizer.decoding:
            has = ", ".join(colorizer.decoding) or "none"
            raise ConfigError(f"--decoding {name}={value:g}: what the method {info.method} takes: {has}")
        architecture[name] = value
    try:
        type(colorizer)(**architecture)
    except ValueError as error:
        raise ConfigError(f"--decoding: {error}") from None
    said = {"variant": variant} if variant is not None else {}
    changed = replace(info, architecture=architecture, provenance=info.provenance | said)
    return encode_weights(colorizer.state_dict(), changed)


def parse_decoding(text: str) -> dict[str, float]:
    """`temperature=0.6,correction=1` as numbers by name. Raises ConfigError for anything else."""
    try:
        pairs = [part.split("=") for part in text.split(",")]
        return {name.strip(): float(value) for name, value in pairs}
    except ValueError:
        raise ConfigError(f"--decoding {text!r}: want name=number, comma between several") from None


def write_weights(data: bytes, target: str, storage: StorageConfig) -> None:
    """Put a weights file at a path or URI. Raises StorageError as the store does."""
    folder, _, name = target.rpartition("/")
    if not name:
        raise ConfigError(f"cannot write weights to {target!r}: name a file, not a folder")
    store = open_store(folder or ("/" if target.startswith("/") else "."), storage)
    store.check_writable()
    store.put(name, data)
