"""Earlier name of :mod:`ngpipe.wiring.paths.routes`, for scripts."""

from ngpipe.wiring.paths.routes import *  # noqa: F403
