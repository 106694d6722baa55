"""Dynamics of the neurons, independent of the method: drifts and their integration."""
