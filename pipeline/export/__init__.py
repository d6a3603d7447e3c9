"""Export the ledger in archival formats: CSV, PREMIS 3.0, BagIt and IIIF.

The entry point is `export_ledger.run_export`. An export only reads the output.
"""
