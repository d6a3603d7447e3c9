"""Fixity: what the ledgers say must be there, what is there, and whether the bytes are still the same.

Its door is `verification.run_verify`, which distributes `check.check_shard`; an export reuses `check`,
`compare` and `findings`.
"""
