"""Colour science on arrays: spaces, luminance, upsampling, toning, borders, metrics. No files, no models."""
