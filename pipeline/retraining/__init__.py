"""The retraining cycle and its gate: train from the champion, compare, promote or not."""
