"""Everything about ledger rows: schema, keys, reading, writing, choosing the row that counts, compacting."""
