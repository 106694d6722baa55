"""Earlier name of :mod:`ngpipe.config.assembly.training`, for scripts."""

from ngpipe.config.assembly.training import *  # noqa: F403
