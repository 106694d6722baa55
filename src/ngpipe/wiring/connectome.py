"""Earlier name of :mod:`ngpipe.wiring.container`, for scripts."""

from ngpipe.wiring.container import *  # noqa: F403
