"""Fixity: which objects must exist by the ledgers, which exist, and whether their bytes are unchanged.

The entry point is `verification.run_verify`, which distributes `hashing.check_shard`; an export reuses
`hashing`, `listing_comparison` and `findings`.
"""
