"""The result files of one source, as the ledger names them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class DeliveredFile:
    """A colour image below OUT with its SHA-256 (hex), and its second file where there is one."""

    key: str
    sha256: str
    derivative_key: str | None = None
    derivative_sha256: str | None = None


def file_columns(files: Sequence[DeliveredFile]) -> dict[str, object]:
    """The ledger's columns for files: the first file has its own columns, the others are in lists."""
    first, *others = files
    columns: dict[str, object] = {
        "output_key": first.key,
        "output_sha256": first.sha256,
        "derivative_key": first.derivative_key,
        "derivative_sha256": first.derivative_sha256,
    }
    if not others:
        return columns
    further = [(file.key, file.sha256) for file in others]
    further += [
        (file.derivative_key, file.derivative_sha256)
        for file in others
        if file.derivative_key is not None and file.derivative_sha256 is not None
    ]
    keys, digests = zip(*further, strict=True)
    return {**columns, "further_keys": list(keys), "further_sha256": list(digests)}
