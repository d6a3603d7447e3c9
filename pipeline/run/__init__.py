"""A colouring run: plan it, process the shards on Ray or in a pool of processes, observe it, and close it."""
