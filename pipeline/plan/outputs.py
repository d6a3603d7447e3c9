"""Derive output keys from source keys."""

from __future__ import annotations

import re

from pipeline.config.output import OutputConfig
from pipeline.ledger.keys import DERIVATIVES, IMAGES

#: Suffixes of each format; the first one is added if a key has none of them.
SUFFIXES = {
    "jpeg": (".jpg", ".jpeg", ".jpe"),
    "png": (".png",),
    "webp": (".webp",),
    "tiff": (".tif", ".tiff"),
    "jp2": (".jp2",),
}
#: Suffixes of files that can become a result: these are replaced; others are part of the name ("box 3.1911").
_REPLACEABLE = re.compile(
    r"\.(jpe?g|jpe|jfif|mpo|a?png|webp|tiff?|bmp|dib|gif|jp2|j2k|jpf|jpx|j2c|jpc|heic|heif|hif|avif)"
)


def output_key(key: str, output: OutputConfig) -> str:
    """The key of a source's colour image: "images/", the source's folder, and a name by `output.suffix`.

    For JPEG, `append` turns `a.tif` into `images/a.tif.jpg`, so that `a.png` and `a.jpg` never collide;
    `replace` gives `images/a.jpg`, and `_color` gives `images/a_color.jpg`. A suffix of the output format is
    kept: `A.JPG`, `A_color.JPG`. Every result has a suffix of its format.
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
    """The key of page `number` (from 1) of a source whose pages become separate files.

    `images/a.tif/page-0001.jpg` for `a.tif`: the folder has the source's whole name, whatever `output.suffix`
    is, so that no page meets another source's result. A text of `output.suffix` is part of the page's name.
    """
    return f"{IMAGES}{key}/page-{number:04}{added_text(output)}{SUFFIXES[output.format][0]}"


def document_key(key: str, output: OutputConfig) -> str:
    """The key of the single TIFF with all pages of a source.

    This is `output_key` if the format is tiff. Otherwise it is `images/a.tif` for `a.tif`, and
    `images/a/pages.tif` for a source whose name has no TIFF suffix.
    """
    if output.format == "tiff":
        return output_key(key, output)
    if key.lower().endswith(SUFFIXES["tiff"]):
        return output_key(key, output.of_one_document)
    return f"{IMAGES}{key}/pages{added_text(output)}.tif"


def added_text(output: OutputConfig) -> str:
    """The text that `output.suffix` adds to names; empty for `append` and `replace`."""
    return "" if output.suffix in ("append", "replace") else output.suffix


def derivative_key(result: str, output: OutputConfig) -> str | None:
    """The key of the second file of the image at `result`; None if there should be none.

    `images/a.tif` has its JPEG at `derivatives/a.tif.jpg` and its pyramid at `derivatives/a.tif`. The suffix
    depends on the formats alone: results with different keys have derivatives with different keys.
    """
    if output.derivative.format == "none":
        return None
    format_ = output.derivative.file_format
    added = "" if format_ == output.format else SUFFIXES[format_][0]
    return f"{DERIVATIVES}{result.removeprefix(IMAGES)}{added}"


def is_folder_marker(key: str) -> bool:
    """Whether a key ends in "/". S3 consoles create such objects for empty folders; they have no output."""
    return key.endswith("/")
