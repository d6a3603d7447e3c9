"""Training batches: which photographs, in which order, cropped and aged."""
