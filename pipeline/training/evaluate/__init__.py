"""Colour errors on photographs whose colours are known: networks beside the baselines that they must beat."""

from pipeline.training.evaluate.config import EvaluateConfig, shortcuts
from pipeline.training.evaluate.run import evaluate

__all__ = ["EvaluateConfig", "evaluate", "shortcuts"]
