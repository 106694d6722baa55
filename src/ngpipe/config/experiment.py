"""Earlier name of :mod:`ngpipe.config.assembly.experiment`, for scripts."""

from ngpipe.config.assembly.experiment import *  # noqa: F403
