"""Format counts with their nouns."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """1 file, 2 files, 12,345 files; `noun` in the singular, its plural ends in s."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def all_are(count: int, noun: str) -> str:
    """all 2 files are, the one file is."""
    return f"all {count:,} {noun}s are" if count != 1 else f"the one {noun} is"
