"""From source keys to output keys: where a result goes, and which sources have no place to go."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.config.output import OutputConfig
from pipeline.errors import BadKey, FailureCode
from pipeline.ledger.keys import DERIVATIVES, IMAGES
from pipeline.plan.identities import hash_texts
from pipeline.storage import check_key

#: Suffixes that already are those of a format; the first is added where a key has none of them.
SUFFIXES = {
    "jpeg": (".jpg", ".jpeg", ".jpe"),
    "png": (".png",),
    "webp": (".webp",),
    "tiff": (".tif", ".tiff"),
    "jp2": (".jp2",),
}
#: Suffixes of what can become a result: these are replaced, others are part of a name ("box 3.1911").
_REPLACEABLE = re.compile(
    r"\.(jpe?g|jpe|jfif|mpo|a?png|webp|tiff?|bmp|dib|gif|jp2|j2k|jpf|jpx|j2c|jpc|heic|heif|hif|avif)"
)


class Refusal(NamedTuple):
    """Why a source gets a failed row without being read."""

    code: FailureCode
    message: str


def output_key(key: str, output: OutputConfig) -> str:
    """Where the colour image of a source goes: "images/", the source's folder, and a name by `output.suffix`.

    As JPEG, `append` makes `images/a.tif.jpg` of `a.tif`, so that `a.png` and `a.jpg` never meet; `replace`
    makes `images/a.jpg`, `_color` makes `images/a_color.jpg`. A suffix that is the format's own stays as it
    is: `A.JPG`, `A_color.JPG`. Every result has a suffix of its format.
    """
    folder, slash, name = key.rpartition("/")
    suffixes = SUFFIXES[output.format]
    if output.suffix == "append":
        return f"{IMAGES}{key}" if name.lower().endswith(suffixes) else f"{IMAGES}{key}{suffixes[0]}"
    stem, dot, end = name.rpartition(".")
    if not stem or not _REPLACEABLE.fullmatch(dot + end.lower()):
        stem, end = name, ""
    kept = dot + end if dot + end.lower() in suffixes else suffixes[0]
    text = "" if output.suffix == "replace" else output.suffix
    return f"{IMAGES}{folder}{slash}{stem}{text}{kept}"


def page_key(key: str, number: int, output: OutputConfig) -> str:
    """Where page `number`, from 1, of a source goes whose pages become a file each.

    `images/a.tif/page-0001.jpg` for `a.tif`: the folder has the source's whole name, whatever `output.suffix`
    is, so that no page meets another source's result. A text of `output.suffix` is part of the page's name.
    """
    return f"{IMAGES}{key}/page-{number:04}{_added_text(output)}{SUFFIXES[output.format][0]}"


def document_key(key: str, output: OutputConfig) -> str:
    """Where the one TIFF of all pages of a source goes.

    At `output_key` where its format is tiff. Else beside it: `images/a.tif` for `a.tif`, and
    `images/a/pages.tif` for a source whose name has no suffix of TIFF.
    """
    if output.format == "tiff":
        return output_key(key, output)
    if key.lower().endswith(SUFFIXES["tiff"]):
        return output_key(key, output.of_one_document)
    return f"{IMAGES}{key}/pages{_added_text(output)}.tif"


def _added_text(output: OutputConfig) -> str:
    return "" if output.suffix in ("append", "replace") else output.suffix


def derivative_key(result: str, output: OutputConfig) -> str | None:
    """Where the second file of an image goes whose first is at `result`; None where there is to be none.

    `images/a.tif` has its JPEG at `derivatives/a.tif.jpg` and its pyramid at `derivatives/a.tif`. The suffix
    depends on the formats alone: results with different keys have derivatives with different keys.
    """
    if output.derivative.format == "none":
        return None
    format_ = output.derivative.file_format
    added = "" if format_ == output.format else SUFFIXES[format_][0]
    return f"{DERIVATIVES}{result.removeprefix(IMAGES)}{added}"


def is_folder_marker(key: str) -> bool:
    """A key that ends in "/": what S3 consoles make for an empty folder. It never has an output."""
    return key.endswith("/")


def find_refusals(
    keys: Sequence[str],
    output: OutputConfig,
    finished: NDArray[np.bool_],
    comparable: Callable[[str], str] = str,
) -> dict[int, Refusal]:
    """The keys (by index, in key order) whose result has no place to go.

    Of two with one output key the later is refused, unless it is the one that was finished before
    (`finished[i]`): its result is there already and must not be overwritten. The whole listing counts, done
    or not, so that a resumed run refuses the same keys as an undisturbed one. `comparable` is the store's:
    two outputs are one where it gives equal texts for them.
    """
    outputs = [output_key(key, output) for key in keys]
    refusals: dict[int, Refusal] = {}
    _refuse(keys, outputs, finished, refusals, comparable)
    if output.derivative.format != "none":
        seconds = [str(derivative_key(result, output)) for result in outputs]
        _refuse(keys, seconds, finished, refusals, comparable)
    _refuse_among_pages(keys, outputs, output, finished, refusals)
    return refusals


def _refuse_among_pages(
    keys: Sequence[str],
    outputs: Sequence[str],
    output: OutputConfig,
    finished: NDArray[np.bool_],
    refusals: dict[int, Refusal],
) -> None:
    """Results named like pages of another source: only a bucket can hold an object and others below it."""
    page = re.compile(rf"page-\d{{4,}}{re.escape(_added_text(output))}\.[a-z0-9]+")
    for index, (key, result) in enumerate(zip(keys, outputs, strict=True)):
        source, _, name = key.rpartition("/")
        if name != "pages.tif" and page.fullmatch(result.rpartition("/")[2]) is None:
            continue
        at = bisect_left(keys, source)
        if at == len(keys) or keys[at] != source:
            continue
        loser, other = (at, index) if finished[index] and not finished[at] else (index, at)
        message = f"its result could be that of a page of {keys[other]!r}, or the other way round; rename it"
        refusals.setdefault(loser, Refusal(FailureCode.OUTPUT_COLLISION, message))


def _refuse(
    keys: Sequence[str],
    outputs: Sequence[str],
    finished: NDArray[np.bool_],
    refusals: dict[int, Refusal],
    comparable: Callable[[str], str],
) -> None:
    """Refuse what cannot stand at its place in `outputs`, among those that are not refused yet."""
    _refuse_bad(keys, outputs, refusals)
    owners = np.array(
        [i for i in range(len(keys)) if i not in refusals and not is_folder_marker(keys[i])], int
    )
    hashes = hash_texts(comparable(outputs[i]).encode() for i in owners.tolist())
    # by output; within one output the finished first, then key order
    order = np.lexsort((owners, ~finished[owners], hashes))
    owners, hashes = owners[order], hashes[order]
    _refuse_equal(keys, outputs, owners, hashes, refusals)
    _refuse_nested(keys, outputs, owners, hashes, finished, refusals, comparable)


def _refuse_bad(keys: Sequence[str], outputs: Sequence[str], refusals: dict[int, Refusal]) -> None:
    for index, output in enumerate(outputs):
        try:
            if not is_folder_marker(keys[index]):
                check_key(output)
        except BadKey as error:
            refusals.setdefault(index, Refusal(FailureCode.BAD_KEY, str(error)))


def _refuse_equal(
    keys: Sequence[str],
    outputs: Sequence[str],
    owners: NDArray[np.int64],
    hashes: NDArray[np.int64],
    refusals: dict[int, Refusal],
) -> None:
    """`owners` are sorted by `hashes`, the hashes of their outputs: in a run of equals the first one owns."""
    first = 0
    for at in (np.flatnonzero(hashes[1:] == hashes[:-1]) + 1).tolist():
        if hashes[at] != hashes[first]:
            first = at - 1
        owner = int(owners[first])
        refusals[int(owners[at])] = Refusal(
            FailureCode.OUTPUT_COLLISION,
            f"its result would overwrite {outputs[owner]!r}, that of {keys[owner]!r}; rename one of them",
        )


def _refuse_nested(
    keys: Sequence[str],
    outputs: Sequence[str],
    owners: NDArray[np.int64],
    hashes: NDArray[np.int64],
    finished: NDArray[np.bool_],
    refusals: dict[int, Refusal],
    comparable: Callable[[str], str],
) -> None:
    """A result cannot be a file and the folder of other results: S3 could hold both, a folder cannot."""
    folders = sorted(_folders(outputs[i] for i in owners.tolist()))
    folder_hashes = hash_texts(comparable(folder).encode() for folder in folders)
    for at in np.flatnonzero(np.isin(folder_hashes, hashes)).tolist():
        file = int(owners[np.searchsorted(hashes, folder_hashes[at])])
        start = folders[at].partition("/")[2] + "/"
        # "0" follows "/": all keys below the folder stand between the two
        span = range(bisect_left(keys, start), bisect_left(keys, start[:-1] + "0"))
        below = [i for i in span if not is_folder_marker(keys[i])]
        refused = [file] if finished[below].any() and not finished[file] else below
        for index in refused:
            refusals.setdefault(
                index,
                Refusal(
                    FailureCode.OUTPUT_COLLISION,
                    f"{folders[at]!r} would be both a result and a folder; rename {keys[file]!r}",
                ),
            )


def _folders(keys: Iterable[str]) -> set[str]:
    """All folders above the keys."""
    folders: set[str] = set()
    for key in keys:
        folder = key.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return folders
