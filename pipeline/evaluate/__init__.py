"""Colour errors on photographs whose colours are known: networks beside the baselines that they must beat."""

from pipeline.evaluate.evaluation import evaluate
from pipeline.evaluate.settings import EvaluateConfig, shortcuts

__all__ = ["EvaluateConfig", "evaluate", "shortcuts"]
