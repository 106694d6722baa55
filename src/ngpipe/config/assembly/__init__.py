"""Sections of an assembly experiment."""
