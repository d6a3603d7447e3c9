"""Guides: what archivists know of single images, from files and sidecars to what a method takes."""
