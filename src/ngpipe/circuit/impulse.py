"""Earlier name of :mod:`ngpipe.config.circuit.impulse`, for scripts."""

from ngpipe.config.circuit.impulse import *  # noqa: F403
