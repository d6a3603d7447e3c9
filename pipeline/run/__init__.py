"""A colouring run: plan, the Ray Data chain over shards, the observer, the close."""
