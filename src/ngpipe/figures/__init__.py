"""Figures: one function per panel, xarray in, Axes out."""
