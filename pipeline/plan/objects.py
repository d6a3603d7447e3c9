"""Listed objects as columns: ten million take one gigabyte; as Python objects they would take four."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import NamedTuple, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.plan.identities import hash_keys
from pipeline.storage import ObjectInfo

#: Rows of a chunk; a key has 1,024 bytes at most, so offsets fit 32 bits. And those of them that are Python
#: objects at a time: some hundred bytes each, which the process keeps once it had them.
ROWS, _AT_ONCE = 2**16, 2**12


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
    """The texts at these indices, each looked up on access."""

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
        at_once = min(ROWS, _AT_ONCE)
        columns = _columns(iter(listed), at_once)
        while chunk := list(islice(columns, ROWS // at_once)):
            keys.append(pa.concat_arrays([each.keys for each in chunk]))
            etags.append(pa.concat_arrays([each.etags for each in chunk]))
            sizes.extend(each.sizes for each in chunk)
            archived.extend(each.archived for each in chunk)
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
        """The identity (`hash_keys`) of each object."""
        hashes = [np.empty(0, np.int64)]
        for keys, etags in zip(self.keys.chunks, self.etags.chunks, strict=True):
            for start in range(0, len(keys), _AT_ONCE):
                few = (texts.slice(start, _AT_ONCE).to_pylist() for texts in (keys, etags))
                hashes.append(hash_keys(*few))
        return np.concatenate(hashes)


class _Columns(NamedTuple):
    keys: pa.StringArray
    etags: pa.StringArray
    sizes: NDArray[np.int64]
    archived: NDArray[np.bool_]


def _columns(listed: Iterator[ObjectInfo], at_once: int) -> Iterator[_Columns]:
    """So many objects after the others, fewer at the end."""
    while rows := list(islice(listed, at_once)):
        yield _Columns(
            pa.array([info.key for info in rows], pa.string()),
            pa.array([info.etag for info in rows], pa.string()),
            np.array([info.bytes for info in rows], np.int64),
            np.array([info.archived for info in rows], bool),
        )


def _numbers(values: NDArray[np.int64] | NDArray[np.bool_]) -> Iterator[int]:
    for start in range(0, len(values), ROWS):
        yield from values[start : start + ROWS].tolist()
