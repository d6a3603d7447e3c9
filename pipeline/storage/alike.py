"""Which names mean the same file. macOS, Windows and FAT ignore letter case; some normalise Unicode."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4


class NameFolding(NamedTuple):
    """What a file system ignores in names: letter case, and composed versus decomposed Unicode."""

    case: bool = False
    form: bool = False

    def comparable(self, key: str) -> str:
        """A text that is equal for keys that mean the same file here.

        Letters are compared one by one, as file systems do: "STRASSE" and "straße" are different files.
        """
        if self.form:
            key = unicodedata.normalize("NFC", key)
        return "".join(map(_without_case, key)) if self.case else key


def _without_case(letter: str) -> str:
    upper = letter.upper()
    lower = (upper if len(upper) == 1 else letter).lower()
    return lower if len(lower) == 1 else letter


def probe(folder: Path) -> NameFolding:
    """Test it with an empty file in the folder, or in its nearest existing parent, and remove the file.

    If nothing can be written, assume that names differ.
    """
    place = next((path for path in (folder, *folder.parents) if path.is_dir()), None)
    if place is None:
        return NameFolding()
    name = f".fiat-{uuid4().hex}-a\u00e9.tmp"  # one letter with case, one that can be decomposed
    file = place / name
    try:
        file.touch(exist_ok=False)
    except OSError:
        return NameFolding()
    try:
        case = (place / name.replace("-a", "-A")).exists()
        return NameFolding(case, (place / unicodedata.normalize("NFD", name)).exists())
    finally:
        file.unlink(missing_ok=True)
