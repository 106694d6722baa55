"""Sections of a connectome experiment."""
