"""Fixity: what the ledgers say must be there, what is there, and whether the bytes are still the same.

Plain functions without Ray; `pipeline.verify.verification` distributes `check.check_shard`.
"""
