"""Bytes of image files to samples, and back. Knows no models and no plans."""
