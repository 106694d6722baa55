"""Sections of an experiment on measured responses."""
