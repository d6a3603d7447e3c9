"""Fixity: which objects must exist by the ledgers, which exist, and whether their bytes are unchanged.

The entry point is `verification.run_verify`, which distributes `check.check_shard`; an export reuses `check`,
`compare` and `findings`.
"""
