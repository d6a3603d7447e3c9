"""The plan of a run: list the source, subtract what the ledger has, cut the rest into shards.

The entry point is `plan.make_plan`; other packages also use `identities`, `outputs` and `patterns`.
"""
