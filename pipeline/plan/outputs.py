"""From source keys to output keys: where a result goes."""

from __future__ import annotations

import re

from pipeline.config.output import OutputConfig
from pipeline.ledger.keys import DERIVATIVES, IMAGES

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
    return f"{IMAGES}{key}/page-{number:04}{added_text(output)}{SUFFIXES[output.format][0]}"


def document_key(key: str, output: OutputConfig) -> str:
    """Where the one TIFF of all pages of a source goes.

    At `output_key` where its format is tiff. Else beside it: `images/a.tif` for `a.tif`, and
    `images/a/pages.tif` for a source whose name has no suffix of TIFF.
    """
    if output.format == "tiff":
        return output_key(key, output)
    if key.lower().endswith(SUFFIXES["tiff"]):
        return output_key(key, output.of_one_document)
    return f"{IMAGES}{key}/pages{added_text(output)}.tif"


def added_text(output: OutputConfig) -> str:
    """The text of `output.suffix` that names get; empty for `append` and `replace`."""
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
