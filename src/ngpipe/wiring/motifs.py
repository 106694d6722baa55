"""Earlier name of :mod:`ngpipe.wiring.nulls.motifs`, for scripts."""

from ngpipe.wiring.nulls.motifs import *  # noqa: F403
