"""Identities: versions of source objects as 64-bit numbers. A set of strings would not fit into memory.

A Python set of strings needs over 100 bytes a key, a sorted array eight.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def hash_texts(texts: Iterable[bytes]) -> NDArray[np.int64]:
    """BLAKE2b-64 of each text as int64. The chance of a collision among 100 million texts is 0.03 %."""
    joined = b"".join(hashlib.blake2b(text, digest_size=8).digest() for text in texts)
    return np.frombuffer(joined, "<i8").astype(np.int64, copy=False)


def hash_keys(keys: Iterable[str], etags: Iterable[str]) -> NDArray[np.int64]:
    """The identity of each version of a source object, from its key and ETag."""
    return hash_texts(f"{key}\0{etag}".encode() for key, etag in zip(keys, etags, strict=True))


@dataclass(frozen=True)
class IdentitySet:
    """A set of identities: int64, ascending."""

    hashes: NDArray[np.int64]

    def contains(self, hashes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each hash is in the set."""
        return self.positions(hashes) >= 0

    def positions(self, hashes: NDArray[np.int64]) -> NDArray[np.int64]:
        """The index of each hash in the set; -1 if it is not in the set."""
        if not len(self.hashes):
            return np.full(len(hashes), -1, np.int64)
        at = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return np.where(self.hashes[at] == hashes, at, -1)
