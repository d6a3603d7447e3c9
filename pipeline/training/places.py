"""Parse the user's locations for training runs and weights. Imports neither torch nor Ray."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError
from pipeline.storage import Store, open_store
from pipeline.storage.uri import BucketLocation, parse_uri, resolved


def run_location(storage: str, config: StorageConfig) -> Path | BucketLocation:
    """The absolute folder, or the place in S3, for the runs of `train.storage`.

    Raises ConfigError for other buckets, which Ray Train does not reach with our settings, for S3 settings
    that Arrow does not have, and for a URI that names no place.
    """
    location = parse_uri(storage)
    if not isinstance(location, BucketLocation):
        return resolved(location)
    if location.scheme != "s3":
        raise ConfigError(
            f"a training run cannot be kept in {location.root}: give --storage (train.storage) a folder or "
            "s3://BUCKET/PREFIX; weights can go to the bucket when it is done, with "
            f"--export {location.root}/NAME.safetensors"
        )
    if not config.verify_tls:
        raise ConfigError(
            "storage.verify_tls=false does not work for train.storage on S3; name a local folder"
        )
    return location


def parse_decoding(text: str) -> dict[str, float]:
    """`temperature=0.6,correction=1` as numbers by name. Raises ConfigError for anything else."""
    try:
        pairs = [part.split("=") for part in text.split(",")]
        return {name.strip(): float(value) for name, value in pairs}
    except ValueError:
        raise ConfigError(f"--decoding {text!r}: give name=number, separated by commas") from None


def weights_place(target: str, storage: StorageConfig) -> tuple[Store, str]:
    """The store and the name of a weights file at a path or URI. Raises ConfigError where it is a folder."""
    folder, _, name = target.rpartition("/")
    if not name:
        raise ConfigError(f"cannot write weights to {target!r}: give a file, not a folder")
    return open_store(folder or ("/" if target.startswith("/") else "."), storage), name
