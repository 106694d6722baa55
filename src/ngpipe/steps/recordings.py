"""Earlier name of :mod:`ngpipe.artifacts.recordings`, for scripts."""

from ngpipe.artifacts.recordings import *  # noqa: F403
