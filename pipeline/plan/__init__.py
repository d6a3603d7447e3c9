"""The plan of a run: list the source, subtract what the ledger has, cut the rest into shards.

Its door is `plan.make_plan`; `identities`, `outputs` and `patterns` serve other rooms too.
"""
