"""All that knows what a ledger row is: schema, keys, reading, writing, which row counts, compacting."""
