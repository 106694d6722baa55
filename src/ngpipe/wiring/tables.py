"""Earlier name of :mod:`ngpipe.wiring.sources.tables`, for scripts."""

from ngpipe.wiring.sources.tables import *  # noqa: F403
