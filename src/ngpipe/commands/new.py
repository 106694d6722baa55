"""``ngpipe new``: a study to begin with."""

import argparse
import sys

from ngpipe.study import new


def run(options: argparse.Namespace) -> None:
    """Write a study that runs, and say how."""
    sys.stdout.write(new.run(options.directory, options.system, options.recording, options.series))
