"""The ledger in the forms that archives take in: CSV, PREMIS 3.0 and BagIt.

Plain functions without Ray; `pipeline.export.hand_over` calls them. Whatever is exported is only read.
"""
