"""``ngpipe inspect``: what a file is, holds and comes from."""

import argparse

from ngpipe.commands.loading import step


def run(options: argparse.Namespace) -> None:
    """Print what a run, store or file is."""
    step("inspect").run(options.path)
