"""Paths for tests: the checkout, its samples, and the photographs next to it if there are any."""

from __future__ import annotations

from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
#: The twenty photographs that ship, with their licences.
SAMPLES = REPO / "tests" / "photos"
SUPPORT = REPO / "tests" / "support"
#: Photographs that are not part of the project; tests that read them are skipped where they are missing.
SHARED = REPO.parent / "shared"
SHARED_PHOTOS = SHARED / "photos"
