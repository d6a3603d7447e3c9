"""A colouring run: plan, the shards on Ray or in a pool of processes, the observer, the close."""
