"""Use the colours of another tool's picture of the same photograph."""

from pipeline.models.methods.borrowed.model import BorrowedColorizer

__all__ = ["BorrowedColorizer"]
