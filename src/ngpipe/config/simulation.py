"""Earlier name of :mod:`ngpipe.config.assembly.simulation`, for scripts."""

from ngpipe.config.assembly.simulation import *  # noqa: F403
