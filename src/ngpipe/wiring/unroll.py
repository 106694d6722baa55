"""Earlier name of :mod:`ngpipe.wiring.sources.unroll`, for scripts."""

from ngpipe.wiring.sources.unroll import *  # noqa: F403
