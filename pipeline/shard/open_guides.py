"""Open the guides of a job before it starts, with what the methods say about the guides that they take."""

from __future__ import annotations

import hashlib

from pipeline.config.job import PICTURES, JobConfig
from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError, ImageFailure, ObjectMissing
from pipeline.guides.check import Guides
from pipeline.guides.guide_file import split_uri
from pipeline.guides.methods import Methods
from pipeline.models.method_list import METHODS, weights_digest
from pipeline.shard.decode import decode_guide, open_decoder
from pipeline.storage import Store, open_store

_DIGEST = "#sha256="


def open_guides(source: Store, config: JobConfig, out: Store | None = None) -> Guides:
    """The job's guides. Raises as `Guides`.

    Args:
        out: where results are; None: ignore people's corrections.
    """
    return Guides(source, config, methods_of(config), out)


def methods_of(config: JobConfig) -> Methods:
    """What guides need to know about the methods."""
    return Methods(
        job=config.model.method,
        takes={name: method_class.guides for name, method_class in METHODS.items()},
        needs={name: method_class.needs for name, method_class in METHODS.items()},
        weights=lambda method: weights_digest(method, None, storage=config.storage),
        shared=frozenset(kind for kind in PICTURES if getattr(config.model, kind) is not None),
    )


def predicts(method: str) -> bool:
    """Whether the method predicts chroma by itself; one that takes only hints just spreads them."""
    return METHODS[method].needs != frozenset({"scribbles"})


def pin_pictures(config: JobConfig, taken: frozenset[str]) -> JobConfig:
    """The configuration with the SHA-256 of `model.style` and `model.reference` in their URIs, so that all
    workers and the job digest mean the same bytes.

    Args:
        taken: the guides that the job's weights take.

    Raises:
        ConfigError: one does not exist, is not a picture, has another digest, or the method takes none.
        StorageError: the store fails.
    """
    given = {kind: uri for kind in PICTURES if (uri := getattr(config.model, kind)) is not None}
    if not given:
        return config
    model = config.model
    pinned = {}
    for kind, uri in given.items():
        if kind not in taken:
            able = (
                ", ".join(name for name, method_class in METHODS.items() if kind in method_class.guides)
                or "none"
            )
            raise ConfigError(
                f"configuration key 'model.{kind}': these weights of the method {model.method!r} take no "
                f"{kind}; methods that do: {able}"
            )
        try:
            data = shared_picture(uri, config.storage)
            with open_decoder(config) as decoder:
                decode_guide(decoder, kind, uri, data, config)
        except (ConfigError, ImageFailure) as error:
            raise ConfigError(f"configuration key 'model.{kind}': {error}") from None
        pinned[kind] = uri.partition(_DIGEST)[0] + _DIGEST + hashlib.sha256(data).hexdigest()
    return config.model_copy(update={"model": model.model_copy(update=pinned)})


def shared_picture(uri: str, storage: StorageConfig) -> bytes:
    """The bytes behind `URI[#sha256=HEX]`.

    Raises:
        ConfigError: they do not exist, or have another digest. StorageError: the store fails.
    """
    place, mark, wanted = uri.partition(_DIGEST)
    folder, name = split_uri(place)
    try:
        data = open_store(folder, storage).get(name).data
    except ObjectMissing as error:
        raise ConfigError(str(error)) from None
    if mark and hashlib.sha256(data).hexdigest() != wanted:
        raise ConfigError(f"{place} has changed: its SHA-256 is no longer {wanted}")
    return data
