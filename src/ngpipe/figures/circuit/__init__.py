"""Panels of circuit experiments."""
