"""ngpipe: recover the structure and functions of neural networks from their activity."""
