"""The ledger in the forms that archives take in: CSV, PREMIS 3.0 and BagIt.

Its door is `hand_over.run_export`. Whatever is exported is only read.
"""
