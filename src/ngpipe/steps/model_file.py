"""Earlier name of :mod:`ngpipe.artifacts.model_file`, for scripts."""

from ngpipe.artifacts.model_file import *  # noqa: F403
