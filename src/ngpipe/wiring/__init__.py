"""Who connects to whom, always as ``W[post, pre]``."""
