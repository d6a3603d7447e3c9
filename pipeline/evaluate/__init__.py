"""Evaluation: colour errors of networks and baselines on photographs whose colours are known."""

from pipeline.evaluate.evaluation import evaluate
from pipeline.evaluate.settings import EvaluateConfig, shortcuts

__all__ = ["EvaluateConfig", "evaluate", "shortcuts"]
