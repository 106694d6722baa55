"""Earlier name of :mod:`ngpipe.figures.drawing.compose`, for scripts."""

from ngpipe.figures.drawing.compose import *  # noqa: F403
