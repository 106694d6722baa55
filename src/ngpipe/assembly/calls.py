"""Earlier name of :mod:`ngpipe.assembly.detection`, for scripts."""

from ngpipe.assembly.detection import *  # noqa: F403
from ngpipe.assembly.detection import detected as called  # noqa: F401
