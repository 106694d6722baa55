"""The pipeline as functions of arrays at hand: no config, no files."""
