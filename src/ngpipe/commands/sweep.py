"""``ngpipe sweep``: the metrics of all points of a sweep, as one table."""

import argparse
from pathlib import Path

from ngpipe.commands.loading import step
from ngpipe.config.systems import load_experiment
from ngpipe.study import stages


def run(options: argparse.Namespace) -> None:
    """Write results/sweeps/<experiment>.csv."""
    name = options.config.stem
    points = stages.swept(name, load_experiment(options.config))
    key = stages.sweep_key(points)
    stages.confirm("sweep", options.key, key)
    step("sweep").run(points, Path("results/runs"), Path("results/sweeps") / f"{name}.csv", key=key)
