"""Sections of a circuit experiment."""
