"""Earlier name of :mod:`ngpipe.wiring.sources.synapses`, for scripts."""

from ngpipe.wiring.sources.synapses import *  # noqa: F403
