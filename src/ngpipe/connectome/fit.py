"""Earlier name of :mod:`ngpipe.connectome.optimisation.fit`, for scripts."""

from ngpipe.connectome.optimisation.fit import *  # noqa: F403
