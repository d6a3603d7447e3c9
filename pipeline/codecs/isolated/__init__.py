"""Decoding in a child process under limits of memory and time."""
