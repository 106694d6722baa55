"""Earlier name of :mod:`ngpipe.artifacts.network_file`, for scripts."""

from ngpipe.artifacts.network_file import *  # noqa: F403
