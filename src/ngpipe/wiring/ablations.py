"""Earlier name of :mod:`ngpipe.wiring.nulls.ablations`, for scripts."""

from ngpipe.wiring.nulls.ablations import *  # noqa: F403
