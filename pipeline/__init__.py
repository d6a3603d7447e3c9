"""Fiat Color: colour for archives of black-and-white photographs, as a distributed batch job on Ray."""

from __future__ import annotations

import os
from pathlib import Path

__version__ = "0.2.0"

#: The folder that holds this package: the checkout, or site-packages where it is installed.
IMPORT_ROOT = Path(__file__).resolve().parents[1]


def child_python_path() -> str:
    """PYTHONPATH for a child process, so that it imports this same package, and then what we inherited."""
    return os.pathsep.join(filter(None, [str(IMPORT_ROOT), os.environ.get("PYTHONPATH")]))
