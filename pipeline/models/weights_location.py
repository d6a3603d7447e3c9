"""Weights files as files: location, shipped ones, digest. `models.weights` reads their content.

Does not import torch, so that a wrong name is reported immediately.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError, StorageError, WeightsError
from pipeline.storage import Store, open_store
from pipeline.storage.local import LocalStore

SHIPPED = Path(__file__).resolve().parents[1] / "weights"
SCHEME = "registry:"
"""The prefix of weights named by a registry."""
ONNX_SUFFIX = ".onnx"
_CHECKPOINTS = (".pth", ".pt", ".ckpt", ".t7", ".caffemodel")


def is_onnx(weights: str | None) -> bool:
    """Whether weights are an ONNX file, by their name."""
    return weights is not None and weights.partition("#")[0].lower().endswith(ONNX_SUFFIX)


def refuse_no_onnx(source: str) -> None:
    """Raises ConfigError if the name of `source` is not that of an ONNX file."""
    if is_onnx(source):
        return
    name = source.partition("#")[0]
    if Path(name).suffix.lower() in _CHECKPOINTS:
        raise ConfigError(
            f"{name} is a checkpoint, and reading one can run code in it. If you trust it, export it to ONNX "
            "with the network's own program (docs/models.md), and import that"
        )
    raise ConfigError(f"{name} is not an ONNX file: its name must end with .onnx")


def split_digest(uri: str) -> tuple[str, str | None]:
    """`URI#sha256=HEX` in its two halves. Raises WeightsError for another fragment."""
    location, mark, fragment = uri.partition("#")
    if not mark:
        return location, None
    name, _, digest = fragment.partition("=")
    if name != "sha256" or len(digest) != 64 or set(digest.lower()) - set("0123456789abcdef"):
        raise WeightsError(f"weights {uri}: after '#' only sha256=<64 hex digits> is understood")
    return location, digest.lower()


def shipped_names() -> list[str]:
    """Names of the weights that come with the package, sorted."""
    return sorted(path.stem for path in SHIPPED.glob("*.safetensors"))


def fetch_weights(uri: str, storage: StorageConfig | None = None) -> tuple[bytes, str]:
    """The bytes at `uri` and their SHA-256, checked against the URI's `#sha256=`; `storage`: how to reach S3.

    Raises WeightsError where nothing is there or the digest differs.
    """
    location, expected = split_digest(uri)
    store, name = _place(location, storage)
    try:
        data = store.get(name).data
    except StorageError as error:
        raise WeightsError(f"cannot read the weights {location}: {error}") from None
    digest = hashlib.sha256(data).hexdigest()
    if expected is not None and digest != expected:
        raise WeightsError(f"weights {location} have sha256 {digest}, not {expected} as requested")
    return data, digest


def check_local(uri: str) -> None:
    """Raises WeightsError, as `fetch_weights`, where `uri` is of a local file that is not there. Of a bucket
    nothing is asked."""
    location, _ = split_digest(uri)
    store, name = _place(location, None)
    if isinstance(store, LocalStore) and not store.exists(name):
        raise WeightsError(f"cannot read the weights {location}: {store.uri}/{name} does not exist")


def _place(location: str, storage: StorageConfig | None) -> tuple[Store, str]:
    folder, _, name = location.rpartition("/")
    if not name:
        raise WeightsError(f"cannot read the weights {location!r}: name a file, not a folder")
    root = folder or ("/" if location.startswith("/") else ".")
    return open_store(root, storage or StorageConfig()), name
