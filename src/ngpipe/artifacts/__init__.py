"""Files that several steps read or write: models, recordings, checkpoints; lines of progress."""
