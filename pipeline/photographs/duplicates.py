"""Equal files and nearly equal pictures among photographs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image


def difference_hash(photo: Image.Image) -> bytes:
    """16 bytes: on 9x9 gray pixels, whether each is brighter than its right neighbour, then its lower one.

    Source: N. Krawetz, "Kind of Like That" (dHash), 2013, in both directions.
    """
    gray = np.asarray(photo.convert("L").resize((9, 9), Image.Resampling.BOX), dtype=np.int16)
    bits = np.concatenate([(gray[:8, :8] > gray[:8, 1:]).ravel(), (gray[:8, :8] > gray[1:, :8]).ravel()])
    return np.packbits(bits).tobytes()


class Duplicates:
    """The photographs so far, by the SHA-256 of their files and by difference hash.

    Hashes at a distance of at most 7 of 128 bits agree in at least one of their 8 pieces of 16 bits, so only
    photographs that share a piece are compared.
    """

    def __init__(self, distance: int, known: Iterable[tuple[str, bytes]] = ()) -> None:
        """`distance`: differing bits, at most 7, that still mean a duplicate; `known`: SHA-256 and hash."""
        self._distance = distance
        self._digests: set[str] = set()
        self._buckets: dict[tuple[int, bytes], list[int]] = {}
        for sha256, phash in known:
            self._add(sha256, phash)

    def reason(self, sha256: str, phash: bytes) -> str | None:
        """What a photograph is a duplicate of, `duplicate_file` or `duplicate_picture`; one of neither is
        remembered."""
        if sha256 in self._digests:
            return "duplicate_file"
        self._digests.add(sha256)
        value = int.from_bytes(phash)
        similar = {other for piece in _pieces(phash) for other in self._buckets.get(piece, ())}
        if any((value ^ other).bit_count() <= self._distance for other in similar):
            return "duplicate_picture"
        self._add(sha256, phash)
        return None

    def _add(self, sha256: str, phash: bytes) -> None:
        self._digests.add(sha256)
        for piece in _pieces(phash):
            self._buckets.setdefault(piece, []).append(int.from_bytes(phash))


def _pieces(phash: bytes) -> list[tuple[int, bytes]]:
    return [(i, phash[2 * i : 2 * i + 2]) for i in range(8)]
