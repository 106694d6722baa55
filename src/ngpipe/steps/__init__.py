"""The stages of the pipeline: read, call the library, write."""
