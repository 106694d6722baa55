"""Fits of a network to activity, and searches for stimuli that drive chosen neurons."""
