"""One page on an assembly that was recovered from activity at hand."""

import pandas as pd
import xarray as xr
from matplotlib.figure import Figure as Figure

from ngpipe.config import figures
from ngpipe.config.figures import KINDS, Panel, Style
from ngpipe.figures.assembly.material import AssemblyMaterial
from ngpipe.figures.drawing import compose
from ngpipe.figures.drawing.material import results_of

MOSAIC = (
    ("activity", "activity", "connectivity"),
    ("latents", "phi", "psi"),
    ("rollout", "rollout", "rollout"),
)
RENAMED = {"connectivity": "learned_connectivity"}
"""Kinds of panels, where the name is another."""


def overview(
    recorded: xr.Dataset, recovery: xr.Dataset, rollout: xr.Dataset, training: pd.DataFrame
) -> Figure:
    """Activity, W, latents, phi, psi and free prediction on one page, without any truth.

    Args:
        recorded: ``activity`` as ``schemas.SIMULATION`` describes it.
        recovery: as ``schemas.RECOVERY`` describes it.
        rollout: as ``schemas.ROLLOUT`` describes it.
        training: losses during training, as in training.csv.
    """
    names = dict.fromkeys(name for row in MOSAIC for name in row)
    panels = {n: Panel(kind=RENAMED.get(n, n), of="recording") for n in names}
    spec = figures.Figure(panels=panels, mosaic=MOSAIC)
    scores = pd.DataFrame(columns=["quantity", "metric", "value"])  # nothing to compare with
    results = {"simulation": recorded, "recovery": recovery, "rollout": rollout}
    results |= {"training": training, "metrics": scores}
    files = {name: one.file for name, one in results_of(AssemblyMaterial).items()}
    material = {}
    for name, panel in panels.items():
        read = {n: r for n, r in results.items() if files[n] in KINDS[panel.kind].reads}
        material[name] = AssemblyMaterial(read, panel, Style())
    return compose.page(spec, Style(), material)
