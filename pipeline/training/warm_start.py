"""Start a training run from trained weights instead of random or only pretrained ones."""

from __future__ import annotations

from torch import Tensor

from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError
from pipeline.models.base import TrainableColorizer
from pipeline.models.method_list import build_colorizer
from pipeline.models.names import location
from pipeline.models.weights import Weights, load_weights

_LABEL_HEAD = "classifier."
_ENCODER = "encoder."


def warm_start(
    model: TrainableColorizer, weights: str, labels: tuple[str, ...], storage: StorageConfig | None = None
) -> None:
    """Fill `model`, whose classes are `labels`, from the weights named as for `load_colorizer`.

    The layers that classify labels start from scratch if the weights have other labels. Raises WeightsError
    for weights that cannot be read or are another method's, ConfigError where they are of another network.
    """
    loaded = load_weights(location(model.method, weights), model.method, storage)
    skipped = loaded.info.labels != labels
    expected = {
        name: tensor.shape
        for name, tensor in model.state_dict().items()
        if tensor.is_floating_point() and not (skipped and _LABEL_HEAD in name)
    }
    tensors = with_encoder(loaded, set(expected))
    given = {name: tensor for name, tensor in tensors.items() if not (skipped and _LABEL_HEAD in name)}
    odd = sorted(
        (expected.keys() ^ given.keys())
        | {name for name in expected.keys() & given.keys() if expected[name] != given[name].shape}
    )
    if odd and all(name.startswith(_ENCODER) and name in given for name in odd):
        raise ConfigError(
            f"model.weights={weights} have their own encoder, but model.frozen=16 uses the package's: "
            "set model.frozen=15 or less"
        )
    if odd:
        raise ConfigError(
            f"model.weights={weights} are of another network ({loaded.info.architecture}), {len(odd)} "
            f"tensors differ, e.g. {odd[0]}: set the options under model to those of the weights"
        )
    model.load_state_dict(given, strict=False)


def with_encoder(loaded: Weights, expected: set[str]) -> dict[str, Tensor]:
    """The tensors of the weights; where they leave a pretrained encoder to its package and `expected` are its
    names too, the package's as well. Raises WeightsError where they do not fit their own description."""
    if expected <= loaded.tensors.keys():
        return loaded.tensors
    network = build_colorizer(loaded)
    whole = dict(network.named_parameters()) | dict(network.named_buffers())
    missing = expected & whole.keys() - loaded.tensors.keys()
    return loaded.tensors | {name: whole[name].detach() for name in missing}
