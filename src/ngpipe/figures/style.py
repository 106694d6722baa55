"""Earlier name of :mod:`ngpipe.figures.drawing.style`, for scripts."""

from ngpipe.figures.drawing.style import *  # noqa: F403
