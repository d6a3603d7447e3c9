"""Training a network with Ray Train: the loop, its data, checkpoints, and the export of weights."""
