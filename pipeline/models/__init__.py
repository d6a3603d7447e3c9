"""Colouring models: one package per method in `methods`, their interface in `base`."""
