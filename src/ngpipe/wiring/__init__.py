"""Connectivity, always as ``W[post, pre]``."""
