"""Panels of measured responses beside a connectome."""
