"""Guides of single images: scribbles, references, styles, methods."""
