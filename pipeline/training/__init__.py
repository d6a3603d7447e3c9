"""Training and evaluation; with `flow`, the only room that knows Ray."""
