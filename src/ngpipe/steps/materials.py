"""Open the results of an experiment for drawing."""

from pathlib import Path

from ngpipe import schemas, store
from ngpipe.config.figures import Panel, Style
from ngpipe.figures.material import Material


def load(directory: Path, spec: Panel, style: Style) -> Material:
    """Everything in ``results/runs/<experiment>/`` that a panel may show."""
    return Material(
        simulation=store.read(directory / "simulation.zarr", schemas.SIMULATION),
        recovery=store.read(directory / "recovery.zarr", schemas.RECOVERY),
        rollout=store.read(directory / "rollout.zarr", schemas.ROLLOUT),
        metrics=store.read_csv(directory / "metrics.csv"),
        learning_curve=store.read_csv(directory / "learning_curve.csv"),
        training=store.read_csv(directory / "training.csv"),
        spec=spec,
        style=style,
    )
