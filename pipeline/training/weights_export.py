"""Make a weights file from a run's newest checkpoint: as it is, as a variant, or with other decoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError
from pipeline.models.method_list import NETWORKS, build_colorizer
from pipeline.models.weights import Weights, decode_weights, encode_weights
from pipeline.training.places import weights_place
from pipeline.training.warm_start import with_encoder


def exported(data: bytes, variant: str | None = None, decoding: dict[str, float] | None = None) -> bytes:
    """The weights file `data` with these changes, and with the variant in its provenance.

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
            raise ConfigError(f"--decoding {name}={value:g}: the method {info.method} takes: {has}")
        architecture[name] = value
    try:
        type(colorizer)(**architecture)
    except ValueError as error:
        raise ConfigError(f"--decoding: {error}") from None
    origin = {"variant": variant} if variant is not None else {}
    changed = replace(info, architecture=architecture, provenance=info.provenance | origin)
    return encode_weights(colorizer.state_dict(), changed)


def mean_of(weights: Sequence[Weights]) -> bytes:
    """A weights file with the mean of these: of trainings that began with the same weights it is often better
    than each (Wortsman et al., "Model soups", ICML 2022, section 2), and so is the mean of a training with
    the weights that it began with (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022,
    section 3). What is given twice counts twice. Decoding and training set are those of the first one; its
    provenance names all.

    Which part of the network learned may differ: where one of the weights holds a pretrained encoder, the
    others' encoder is their package's. Raises ConfigError where they are not of one network.
    """
    first = weights[0]
    widest = max(weights, key=lambda one: len(one.tensors))
    names = set(widest.tensors)
    whole = [replace(one, tensors=with_encoder(one, names)) for one in weights]
    learned = [_learned(one) for one in whole]
    if any(other != learned[0] for other in learned[1:]):
        methods = ", ".join(one.info.method for one in weights)
        raise ConfigError(
            f"--average: these weights are not of one network ({methods}) "
            "with the same options; they must all have begun with the same weights"
        )
    mean = {name: torch.stack([one.tensors[name] for one in whole]).mean(0) for name in widest.tensors}
    parts = [one.info.provenance | {"sha256": one.digest} for one in weights]
    decoding = {name: first.info.architecture[name] for name in _decoding(first)}
    info = replace(widest.info, architecture=widest.info.architecture | decoding, mean_ab=first.info.mean_ab)
    return encode_weights(mean, replace(info, provenance={"mean_of": parts}))


def _decoding(weights: Weights) -> list[str]:
    names = NETWORKS[weights.info.method].decoding
    return [name for name in weights.info.architecture if name in names]


def _learned(weights: Weights) -> tuple[object, ...]:
    """What two networks must share to have a mean."""
    info = weights.info
    apart = (*NETWORKS[info.method].decoding, *NETWORKS[info.method].learning)
    options = {name: value for name, value in info.architecture.items() if name not in apart}
    return info.method, options, info.labels, {name: t.shape for name, t in weights.tensors.items()}


def write_weights(data: bytes, target: str, storage: StorageConfig) -> None:
    """Put a weights file at a path or URI. Raises StorageError as the store does."""
    store, name = weights_place(target, storage)
    store.check_writable()
    store.put(name, data)
