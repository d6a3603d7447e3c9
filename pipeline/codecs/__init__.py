"""Convert image files to samples and back. Independent of models and plans."""
