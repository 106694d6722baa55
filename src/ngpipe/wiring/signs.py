"""Earlier name of :mod:`ngpipe.wiring.nulls.signs`, for scripts."""

from ngpipe.wiring.nulls.signs import *  # noqa: F403
