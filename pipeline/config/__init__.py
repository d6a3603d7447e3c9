"""Frozen pydantic models for every job's settings, code to load them, and the job digest."""
