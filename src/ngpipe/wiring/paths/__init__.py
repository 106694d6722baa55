"""Effective connectivity and routes of several hops."""
