"""Configuration: one section per file, next to its units; imports nothing here on purpose.

Each pipeline step imports the one section it reads, so that its key depends on that file alone.
"""
