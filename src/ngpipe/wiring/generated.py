"""Earlier name of :mod:`ngpipe.wiring.sources.generated`, for scripts."""

from ngpipe.wiring.sources.generated import *  # noqa: F403
