"""Compare estimates with the truth: the only room that reads it. xarray in, tidy frames out."""
