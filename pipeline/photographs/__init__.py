"""Training photographs: finding, checking and preparing them."""
