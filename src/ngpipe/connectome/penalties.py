"""Earlier name of :mod:`ngpipe.connectome.optimisation.penalties`, for scripts."""

from ngpipe.connectome.optimisation.penalties import *  # noqa: F403
