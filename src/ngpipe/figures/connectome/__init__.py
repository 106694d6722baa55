"""Panels of connectome experiments."""
