"""TIFF: reading pages of any sample depth, and writing finished pixels that come in rows."""
