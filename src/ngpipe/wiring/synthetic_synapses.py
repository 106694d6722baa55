"""Earlier name of :mod:`ngpipe.wiring.sources.synthetic_synapses`, for scripts."""

from ngpipe.wiring.sources.synthetic_synapses import *  # noqa: F403
