"""The ledger in the formats of archives: CSV, PREMIS 3.0, BagIt and IIIF.

Its door is `hand_over.run_export`. Whatever is exported is only read.
"""
