"""Names of methods and weights, as users type them.

Does not import torch, so that a wrong name is reported immediately; `models.method_list` has the classes.
"""

from __future__ import annotations

from pipeline.config.job import DEFAULT_METHOD
from pipeline.errors import ConfigError, WeightsError
from pipeline.models.shipped_cards import shipped_cards
from pipeline.models.weights_location import SCHEME, SHIPPED, check_local, is_onnx, shipped_names

SOLVER_NAMES = ("borrowed", "gray", "reference", "scribble", "welsh")
"""The methods without weights."""

METHOD_NAMES = (
    "borrowed", "classification_cnn", "gray", "iizuka", "onnx", "patch", "reference", "regression_cnn",
    "scribble", "unet", "welsh",
)  # fmt: skip
"""All methods."""

DEFAULT_WEIGHTS = {"unet": "faithful"}
"""The default weights of a method, if their name differs from the method's."""


def check_names(method: str | None, weights: str | None) -> None:
    """Refuse unknown methods, and weights that are neither shipped nor a local file.

    `method` None takes the one that the weights are for. Does not access registries or buckets.

    Raises:
        ConfigError: an unknown method; weights for a method without any. WeightsError: no such weights.
    """
    if method is not None and method not in METHOD_NAMES:
        raise ConfigError(_no_method(method))
    if (method in SOLVER_NAMES and weights is None) or (weights or "").startswith(SCHEME):
        return
    check_local(weights if weights is not None and is_onnx(weights) else location(method, weights))


def location(method: str | None, weights: str | None) -> str:
    """The location of the weights: `weights` itself, unless it is None or the name of shipped weights.

    Raises ConfigError for an unknown method and one without weights, WeightsError where none ship for it.
    """
    if method is not None and method not in METHOD_NAMES:
        raise ConfigError(f"unknown method {method!r}; allowed: {', '.join(METHOD_NAMES)}")
    if method in SOLVER_NAMES:
        raise ConfigError(f"the method {method!r} has no weights; leave them out")
    if weights is None:
        method = method or DEFAULT_METHOD
        shipped = SHIPPED / f"{DEFAULT_WEIGHTS.get(method, method)}.safetensors"
        if not shipped.exists():
            raise WeightsError(f"no weights ship for the method {method!r}; name some with --weights")
        return str(shipped)
    name, mark, digest = weights.partition("#")
    if name in shipped_names():
        return f"{SHIPPED / name}.safetensors{mark}{digest}"
    if "/" not in name and "." not in name:
        raise WeightsError(
            f"no weights {name!r} ship with the package; shipped: {', '.join(shipped_names())} "
            "(to name a file, add its folder: ./weights)"
        )
    return weights


def _no_method(name: str) -> str:
    if name in (cards := shipped_cards()):
        of = cards[name].method
        return f"{name!r} is the name of weights, not of a method: --weights {name} (its method is {of})"
    return f"configuration key 'model.method' has the value {name!r}; allowed: {', '.join(METHOD_NAMES)}"
