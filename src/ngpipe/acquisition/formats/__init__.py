"""Readers of files with recorded activity, one module for each family of formats."""
