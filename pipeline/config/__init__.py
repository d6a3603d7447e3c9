"""Frozen pydantic models of every job's settings, loading them, and the job digest."""
