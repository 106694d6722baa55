"""Earlier name of :mod:`ngpipe.connectome.optimisation.network_ensembles`, for scripts."""

from ngpipe.connectome.optimisation.network_ensembles import *  # noqa: F403
