"""Everything about Ray, and nothing about colour: clusters, limits, errors, tokens, this machine."""
