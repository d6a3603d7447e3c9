"""Parse URIs, and refuse to write into an input, which must only be read."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from pipeline.errors import ConfigError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/")
_CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS",
    "az": "set AZURE_STORAGE_CONNECTION_STRING",
}
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
#: The folders that a run writes below its output; an input in them would read its own results.
OWN_FOLDERS = ("images", "derivatives", "ledger", "runs")


SCHEMES = ("s3", "gs", "az")
"""Of buckets: S3, Google Cloud Storage, containers of Azure Blob Storage."""


class BucketLocation(NamedTuple):
    """Bucket, prefix without slashes at its ends ("" for the whole bucket), and one of SCHEMES."""

    bucket: str
    prefix: str
    scheme: str = "s3"

    @property
    def root(self) -> str:
        """The URI of the whole bucket."""
        return f"{self.scheme}://{self.bucket}"


def parse_uri(uri: str) -> BucketLocation | Path:
    """The bucket and prefix of `s3://...`, `gs://...` or `az://...`, or the absolute path of a local
    folder or `file:///...`.

    Raises:
        ConfigError: empty, an unknown scheme, no valid bucket, or "." and ".." in a prefix.
    """
    if not uri.strip() or "\0" in uri:
        raise ConfigError(f"{uri!r} is not a valid place; give a folder or s3://bucket/prefix")
    match = _SCHEME.match(uri)
    scheme = match[1].lower() if match else ""
    if not match:
        return _folder(uri)
    rest = uri[match.end() :]
    if scheme in SCHEMES and rest.startswith("/"):
        return _in_bucket(uri, scheme, rest[1:])
    if scheme == "file" and rest.startswith("//"):
        return _one_root(unquote(rest[1:]))
    raise ConfigError(
        f"{uri!r} is not a supported place; give a folder, file:///folder, s3://bucket/prefix, "
        "gs://bucket/prefix or az://container/prefix"
    )


def _folder(uri: str) -> Path:
    try:
        return _one_root(str(Path(uri).expanduser().absolute()))
    except RuntimeError as error:  # "~somebody" without a home folder
        raise ConfigError(f"{uri!r} is not a valid place: {error}") from None


def _one_root(path: str) -> Path:
    """Reduce two leading slashes to one: POSIX allows them a special meaning, but no system here uses it."""
    return Path("/" + path.lstrip("/"))


def _in_bucket(uri: str, scheme: str, rest: str) -> BucketLocation:
    bucket, _, prefix = rest.partition("/")
    if "@" in bucket:
        raise ConfigError(
            f"{uri!r} has credentials in it; {_CREDENTIALS[scheme]}, and give {scheme}://bucket/prefix"
        )
    if not _BUCKET.fullmatch(bucket):
        raise ConfigError(f"{uri!r} has no valid bucket name ({bucket!r}); give {scheme}://bucket/prefix")
    prefix = prefix.strip("/")
    if {".", ".."} & set(prefix.split("/")):
        raise ConfigError(f'{uri!r} has "." or ".." in its prefix, which buckets do not support')
    return BucketLocation(bucket, prefix, scheme)


def refuse_overlap(input_uri: str, output_uri: str, own: Sequence[str] = OWN_FOLDERS) -> None:
    """Refuse an output that equals or lies inside the input, and an input inside what a run writes.

    Otherwise the run would write into the source, or read results as sources. An input elsewhere below the
    output is allowed (`data/scans` into `data`). Bucket names are compared without letter case, because in a
    virtual-hosted request the name is part of a host name, which ignores case. Keys are case-sensitive.

    Args:
        own: the folders below the output that are written to.

    Raises:
        ConfigError: they overlap, however they are spelled (slashes, "..", symbolic links, letter case).
    """
    source, out = parse_uri(input_uri), parse_uri(output_uri)
    if isinstance(source, BucketLocation) and isinstance(out, BucketLocation):
        inside = _starts(_bucket_parts(out), _bucket_parts(source))
        among = any(_starts(_bucket_parts(source), [*_bucket_parts(out), name]) for name in own)
    elif isinstance(source, Path) and isinstance(out, Path):
        try:
            inside = any(_lies_in(place, source) for place in _places(out, own))
            inside = inside or any(_lies_in(out, linked) for linked in _linked(source))
            among = any(_lies_in(source, out / name) for name in own)
        except (OSError, RuntimeError) as error:  # RuntimeError: nobody's home
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(f"cannot tell {output_uri} from the input {input_uri}: {reason}") from None
    else:
        return
    if inside:
        raise ConfigError(f"the output {output_uri} is inside the input {input_uri}; give a place outside it")
    if among:
        raise ConfigError(f"the input {input_uri} is among the results of the output {output_uri}")


def _bucket_parts(location: BucketLocation) -> list[str]:
    """Scheme, bucket and prefix parts; empty parts are dropped: double slashes are rarely intended."""
    return [location.scheme, location.bucket.lower(), *(part for part in location.prefix.split("/") if part)]


def _starts(parts: Sequence[str], start: Sequence[str]) -> bool:
    return list(parts[: len(start)]) == list(start)


def _places(out: Path, own: Sequence[str]) -> Iterator[Path]:
    """Where a run writes: the output, its folders, and the targets of links in these."""
    yield out
    for name in own:
        yield out / name
        yield from _linked(out / name)


def _linked(folder: Path) -> Iterator[Path]:
    """Every symbolic link to a folder below `folder`, also through other links; visits each folder once."""
    waiting, visited = [folder], {_whole(folder)}
    while waiting:
        for parent, folders, _ in os.walk(waiting.pop()):
            links = [path for name in folders if (path := Path(parent, name)).is_symlink()]
            yield from links
            fresh = {_whole(path) for path in links} - visited
            waiting.extend(fresh)
            visited |= fresh


def resolved(path: Path) -> Path:
    """The whole path, without symbolic links. Raises ConfigError for links in a circle."""
    try:
        return _whole(path)
    except OSError as error:
        raise ConfigError(f"{path} is not a valid path: {error.strerror}; check its symbolic links") from None


def _whole(path: Path) -> Path:
    """Like `Path.resolve`, but raises OSError for circular links, for which that raises RuntimeError, or
    nothing since Python 3.13."""
    try:
        whole = path.resolve()
    except RuntimeError:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
    if any(place.is_symlink() for place in (whole, *whole.parents)):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return whole


def _lies_in(path: Path, folder: Path) -> bool:
    """Whether `path` is `folder` or below it; same-file tests also handle bind mounts and letter case."""
    path, folder = _whole(path), _whole(folder)
    if _starts(path.parts, folder.parts):
        return True
    return folder.exists() and any(p.exists() and p.samefile(folder) for p in (path, *path.parents))
