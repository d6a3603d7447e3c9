"""Ray, and nothing of colour: start or join a cluster, bounds, explained errors, tokens, this machine."""
