"""Earlier name of :mod:`ngpipe.wiring.paths.effective`, for scripts."""

from ngpipe.wiring.paths.effective import *  # noqa: F403
