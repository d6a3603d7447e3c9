"""The run: plan, the Ray Data chain, close. With `pipeline.training`, the only room that knows Ray."""
