"""Earlier name of :mod:`ngpipe.connectome.optimisation.objectives`, for scripts."""

from ngpipe.connectome.optimisation.objectives import *  # noqa: F403
