"""Listed objects, column by column: ten million take a gigabyte, as Python objects they would take four."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.plan.identities import hash_keys
from pipeline.storage import ObjectInfo

#: Rows of a chunk: what is a Python object at a time. A key has 1,024 bytes at most, so offsets fit 32 bits.
ROWS = 2**16


@dataclass(frozen=True)
class Texts(Sequence[str]):
    """Texts in chunks of ROWS, the last one shorter."""

    chunks: list[pa.StringArray]

    def __len__(self) -> int:
        return ROWS * (len(self.chunks) - 1) + len(self.chunks[-1]) if self.chunks else 0

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        if not 0 <= index < len(self):
            raise IndexError(index)
        return str(self.chunks[index // ROWS][index % ROWS].as_py())

    def __iter__(self) -> Iterator[str]:
        for chunk in self.chunks:
            yield from chunk.to_pylist()

    def take(self, indices: NDArray[np.int64]) -> list[str]:
        """The texts at these indices, in their order."""
        texts, numbers = np.empty(len(indices), object), indices // ROWS
        for number in np.unique(numbers).tolist():
            here = np.flatnonzero(numbers == number)
            texts[here] = self.chunks[number].take(pa.array(indices[here] - number * ROWS)).to_pylist()
        taken: list[str] = texts.tolist()
        return taken


@dataclass(frozen=True)
class Picked(Sequence[str]):
    """The texts at these indices, each looked up when it is asked for."""

    texts: Texts
    indices: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return self.texts.take(self.indices[index])
        return self.texts[int(self.indices[index])]


@dataclass(frozen=True)
class Objects(Sequence[ObjectInfo]):
    """Objects in key order; each column has their number of values, `sizes` in bytes."""

    keys: Texts
    etags: Texts
    sizes: NDArray[np.int64]
    archived: NDArray[np.bool_]

    @classmethod
    def of(cls, listed: Iterable[ObjectInfo]) -> Objects:
        """What a listing yields, which is read to its end."""
        keys, etags, sizes, archived = [], [], [np.empty(0, np.int64)], [np.empty(0, bool)]
        left = iter(listed)
        while rows := list(islice(left, ROWS)):
            keys.append(pa.array([info.key for info in rows], pa.string()))
            etags.append(pa.array([info.etag for info in rows], pa.string()))
            sizes.append(np.array([info.bytes for info in rows], np.int64))
            archived.append(np.array([info.archived for info in rows], bool))
        return cls(Texts(keys), Texts(etags), np.concatenate(sizes), np.concatenate(archived))

    def __len__(self) -> int:
        return len(self.sizes)

    @overload
    def __getitem__(self, index: int) -> ObjectInfo: ...
    @overload
    def __getitem__(self, index: slice) -> list[ObjectInfo]: ...
    def __getitem__(self, index: int | slice) -> ObjectInfo | list[ObjectInfo]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return ObjectInfo(
            self.keys[index], self.etags[index], int(self.sizes[index]), bool(self.archived[index])
        )

    def __iter__(self) -> Iterator[ObjectInfo]:
        columns = (self.keys, self.etags, _numbers(self.sizes), _numbers(self.archived))
        return map(ObjectInfo._make, zip(*columns, strict=True))

    def where(self, keep: Callable[[str], bool]) -> Objects:
        """Those whose key is to be kept."""
        return Objects.of(info for info in self if keep(info.key))

    @cached_property
    def identities(self) -> NDArray[np.int64]:
        """Of each its identity (`hash_keys`)."""
        chunks = zip(self.keys.chunks, self.etags.chunks, strict=True)
        hashes = [hash_keys(keys.to_pylist(), etags.to_pylist()) for keys, etags in chunks]
        return np.concatenate([np.empty(0, np.int64), *hashes])


def _numbers(values: NDArray[np.int64] | NDArray[np.bool_]) -> Iterator[int]:
    for start in range(0, len(values), ROWS):
        yield from values[start : start + ROWS].tolist()
