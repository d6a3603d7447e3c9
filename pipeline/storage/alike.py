"""Which names are one file: macOS, Windows shares and FAT ignore letter case, some keep one Unicode form."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4


class Alike(NamedTuple):
    """What a file system ignores in names: letter case, the difference between composed and decomposed."""

    case: bool = False
    form: bool = False

    def comparable(self, key: str) -> str:
        """Equal for keys that are one file here.

        Letters are compared one by one, as file systems do: "STRASSE" is not "straße" to any of them.
        """
        if self.form:
            key = unicodedata.normalize("NFC", key)
        return "".join(map(_without_case, key)) if self.case else key


def _without_case(letter: str) -> str:
    upper = letter.upper()
    lower = (upper if len(upper) == 1 else letter).lower()
    return lower if len(lower) == 1 else letter


def probe(folder: Path) -> Alike:
    """Try it with an empty file in the folder, or in the nearest one above that is there; it is removed.

    Where nothing can be written, no names are taken for alike.
    """
    place = next((path for path in (folder, *folder.parents) if path.is_dir()), None)
    if place is None:
        return Alike()
    name = f".fiat-{uuid4().hex}-a\u00e9.tmp"  # one letter with case, one that can be decomposed
    file = place / name
    try:
        file.touch(exist_ok=False)
    except OSError:
        return Alike()
    try:
        case = (place / name.replace("-a", "-A")).exists()
        return Alike(case, (place / unicodedata.normalize("NFD", name)).exists())
    finally:
        file.unlink(missing_ok=True)
