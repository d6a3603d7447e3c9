"""Evaluation: colour errors of networks and baselines on photographs whose colours are known."""
