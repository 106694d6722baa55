"""Panels of assembly experiments."""
