"""Refuse sources whose result cannot be stored: its name is invalid, or it would overwrite another result.

The keys are processed in portions and only a hash of each output key is kept, so ten million take 0.3 GB.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.config.output import OutputConfig
from pipeline.errors import BadKey, FailureCode
from pipeline.plan.identities import IdentitySet, hash_texts
from pipeline.plan.outputs import added_text, derivative_key, is_folder_marker, output_key
from pipeline.storage import check_key

#: Keys that are processed together.
_PORTION = 2**12


class Refusal(NamedTuple):
    """Why a source gets a failed row without being read."""

    code: FailureCode
    message: str


def find_refusals(
    keys: Sequence[str],
    output: OutputConfig,
    finished: NDArray[np.bool_],
    comparable: Callable[[str], str] = str,
) -> dict[int, Refusal]:
    """The keys (by index, in key order) whose result cannot be stored.

    Of two keys with the same output key, the later one is refused, unless it was finished before
    (`finished[i]`): its result exists already and must not be overwritten. The whole listing counts, done or
    not, so that a resumed run refuses the same keys as an uninterrupted one. `comparable` comes from the
    store: two outputs are the same if it gives equal texts for them.
    """
    refusals: dict[int, Refusal] = {}
    first = _Outputs(keys, lambda key: output_key(key, output), finished, comparable, refusals)
    first.refuse()
    if output.derivative.format != "none":

        def second(key: str) -> str:
            return str(derivative_key(output_key(key, output), output))

        _Outputs(keys, second, finished, comparable, refusals).refuse()
    _refuse_among_pages(first, output)
    return refusals


@dataclass
class _Outputs:
    """Output keys of one kind for all source keys: `name` computes them, `refusals` has the refused ones."""

    keys: Sequence[str]
    name: Callable[[str], str]
    finished: NDArray[np.bool_]
    comparable: Callable[[str], str]
    refusals: dict[int, Refusal]
    #: indices of the keys that have an output, ascending, and the hashes of these
    owners: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    hashes: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def refuse(self) -> None:
        """Refuse outputs that collide, among those that are not refused yet."""
        folders = self._hash_all()
        in_order = np.sort(self.hashes)
        self._refuse_equal(np.unique(in_order[1:][in_order[1:] == in_order[:-1]]))
        both = folders[IdentitySet(in_order).contains(folders)]
        if len(both):
            self._refuse_nested(both)

    def portions(self) -> Iterator[tuple[int, list[tuple[str, str]]]]:
        """The index of the first key, then keys and outputs, of each portion."""
        for start in range(0, len(self.keys), _PORTION):
            keys = self.keys[start : start + _PORTION]
            yield start, [(key, self.name(key)) for key in keys]

    def _hash_all(self) -> NDArray[np.int64]:
        """Refuse bad keys and hash the outputs of the others; return the hashes of their folders."""
        owners, hashes = [self.owners], [self.hashes]
        folders = [np.empty(0, np.int64)]
        for start, portion in self.portions():
            own = list(self._owners(start, portion))
            owners.append(np.array(own, np.int64))
            outputs = [portion[i - start][1] for i in own]
            hashes.append(hash_texts(self.comparable(output).encode() for output in outputs))
            folders.append(hash_texts(self.comparable(folder).encode() for folder in _folders(outputs)))
        self.owners, self.hashes = np.concatenate(owners), np.concatenate(hashes)
        return np.unique(np.concatenate(folders))

    def _owners(self, start: int, portion: list[tuple[str, str]]) -> Iterator[int]:
        for index, (key, output) in enumerate(portion, start):
            if is_folder_marker(key):
                continue
            try:
                check_key(output)
            except BadKey as error:
                self.refusals.setdefault(index, Refusal(FailureCode.BAD_KEY, str(error)))
            if index not in self.refusals:
                yield index

    def _claims(self, hashes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The owners of these outputs and their hashes: by output, then the finished, then in key order."""
        here = np.isin(self.hashes, hashes)
        owners, own = self.owners[here], self.hashes[here]
        order = np.lexsort((owners, ~self.finished[owners], own))
        return owners[order], own[order]

    def _refuse_equal(self, twice: NDArray[np.int64]) -> None:
        """Where several keys have the same output, only the first key keeps it."""
        owners, hashes = self._claims(twice) if len(twice) else (twice, twice)
        first = 0
        for at in (np.flatnonzero(hashes[1:] == hashes[:-1]) + 1).tolist():
            if hashes[at] != hashes[first]:
                first = at - 1
            owner = self.keys[int(owners[first])]
            self.refusals[int(owners[at])] = Refusal(
                FailureCode.OUTPUT_COLLISION,
                f"its result would overwrite {self.name(owner)!r}, result of {owner!r}; rename one of them",
            )

    def _refuse_nested(self, both: NDArray[np.int64]) -> None:
        """A result cannot be a file and the folder of other results: S3 could hold both, a folder cannot.

        Args:
            both: hashes that are those of a folder and of an output.
        """
        owners, hashes = self._claims(both)
        for folder, digest in self._folders_with(both):
            file = int(owners[np.searchsorted(hashes, digest)])
            start = folder.partition("/")[2] + "/"
            # "0" follows "/": all keys below the folder stand between the two
            span = range(bisect_left(self.keys, start), bisect_left(self.keys, start[:-1] + "0"))
            below = [i for i in span if not is_folder_marker(self.keys[i])]
            refused = [file] if self.finished[below].any() and not self.finished[file] else below
            message = f"{folder!r} would be both a result and a folder; rename {self.keys[file]!r}"
            for index in refused:
                self.refusals.setdefault(index, Refusal(FailureCode.OUTPUT_COLLISION, message))

    def _folders_with(self, hashes: NDArray[np.int64]) -> list[tuple[str, int]]:
        """The folders above outputs that have these hashes, in order, each with its hash."""
        folders: set[tuple[str, int]] = set()
        at = 0
        for start, portion in self.portions():
            stop = int(np.searchsorted(self.owners, start + len(portion)))
            above = list(_folders(portion[i - start][1] for i in self.owners[at:stop].tolist()))
            digests = hash_texts(self.comparable(folder).encode() for folder in above)
            where = np.flatnonzero(np.isin(digests, hashes)).tolist()
            folders |= {(above[i], int(digests[i])) for i in where}
            at = stop
        return sorted(folders)


def _refuse_among_pages(outputs: _Outputs, output: OutputConfig) -> None:
    """Refuse results named like pages of another source: only buckets allow an object and others below it."""
    page = re.compile(rf"page-\d{{4,}}{re.escape(added_text(output))}\.[a-z0-9]+")
    keys, finished = outputs.keys, outputs.finished
    named = ((index, key) for index, key in enumerate(keys) if "/page" in key)  # so is its result, then
    for index, key in named:
        source, _, name = key.rpartition("/")
        result = outputs.name(key).rpartition("/")[2]
        if name != "pages.tif" and page.fullmatch(result) is None:
            continue
        at = bisect_left(keys, source)
        if at == len(keys) or keys[at] != source:
            continue
        loser, other = (at, index) if finished[index] and not finished[at] else (index, at)
        message = f"its result would collide with a page of {keys[other]!r}; rename it"
        outputs.refusals.setdefault(loser, Refusal(FailureCode.OUTPUT_COLLISION, message))


def _folders(keys: Iterable[str]) -> set[str]:
    """All folders above the keys."""
    folders: set[str] = set()
    for key in keys:
        folder = key.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return folders
