"""From panel specs to figures: one panel alone, or all of them on one page."""

from collections.abc import Callable, Mapping
from itertools import chain, product
from pathlib import Path
from string import ascii_lowercase

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ngpipe.config.figures import Figure as FigureSpec
from ngpipe.config.figures import Style
from ngpipe.figures import (
    circuit,
    connectome,
    functions,
    impulse,
    inputs,
    motifs,
    structure,
    sweeps,
    times,
    traces,
)
from ngpipe.figures.circuit import CircuitMaterial
from ngpipe.figures.connectome import ConnectomeMaterial
from ngpipe.figures.material import Material
from ngpipe.figures.points import SweepMaterial, sweep
from ngpipe.figures.style import new_figure, styled

AnyMaterial = Material | ConnectomeMaterial | CircuitMaterial | SweepMaterial
PANELS: Mapping[str, Callable[[AnyMaterial, Axes], Axes]] = {
    "activity": traces.activity,
    "true_connectivity": structure.true_connectivity,
    "learned_connectivity": structure.learned_connectivity,
    "connectivity_scatter": structure.connectivity_scatter,
    "calibration": structure.calibration,
    "latents": functions.latents,
    "phi": functions.phi,
    "psi": functions.psi,
    "learning_curve": structure.learning_curve,
    "rollout": traces.rollout,
    "rollout_scatter": traces.rollout_scatter,
    "input_map": inputs.input_map,
    "activity_map": inputs.activity_map,
    "input_scatter": inputs.input_scatter,
    "true_input": inputs.true_input,
    "learned_input": inputs.learned_input,
    "input_movie": inputs.input_movie,
    "type_weights": connectome.type_weights,
    "fit_scatter": connectome.fit_scatter,
    "stimulus": connectome.stimulus,
    "responses": connectome.responses,
    "response_columns": connectome.response_columns,
    "response_map": connectome.response_on_lattice,
    "attribution": connectome.attribution,
    "paths": connectome.paths,
    "silencing": connectome.silencing,
    "control": connectome.control,
    "circuit_matrix": circuit.circuit_matrix,
    "weight_distribution": circuit.weight_distribution,
    "impulse_response": impulse.impulse_response,
    "response_times": times.response_times,
    "spectra": circuit.spectra,
    "response_sweep": sweeps.response_sweep,
    "effects": times.effects,
    "motif_scores": motifs.motif_scores,
    "mixing": motifs.mixing,
    "sweep": sweep,
}


def draw_panel(material: AnyMaterial, ax: Axes) -> None:
    """Draw the panel that ``material.spec`` describes."""
    PANELS[material.spec.kind](material, ax)
    if material.spec.title is not None:
        ax.set_title(material.spec.title.replace("{}", ax.get_title(loc="left")), loc="left")


def panel_figure(material: AnyMaterial) -> Figure:
    """One panel on its own."""
    style = material.style
    with styled(style):
        figure = new_figure(*(material.spec.size or (style.panel_width, style.panel_height)))
        draw_panel(material, figure.subplots())
        return _drawn(figure)


def page(spec: FigureSpec, style: Style, material: Mapping[str, AnyMaterial]) -> Figure:
    """All panels of a figure on one page, lettered in reading order.

    Args:
        spec: panels and layout.
        style: how everything looks.
        material: what each panel draws from, by panel name.
    """
    rows = spec.layout()
    with styled(style):
        heights = spec.row_heights or [1.0] * len(rows)
        figure = new_figure(spec.width, spec.row_height * sum(heights))
        bands = np.atleast_1d(figure.subfigures(len(rows), 1, height_ratios=heights))
        letters = chain(ascii_lowercase, map("".join, product(ascii_lowercase, repeat=2)))
        for band, row in zip(bands, rows, strict=True):
            for name, ax in band.subplot_mosaic([row], empty_sentinel=".").items():
                draw_panel(material[name], ax)
                ax.set_title(f"$\\bf{{{next(letters)}}}$  {ax.get_title(loc='left')}", loc="left")
        return _drawn(figure)


def save(figure: Figure, path: Path, style: Style) -> None:
    """Write a figure as svg, pdf or png; the same figure gives the same bytes."""
    undated = {
        ".svg": {"Date": None},
        ".pdf": {"CreationDate": None},
        ".png": {"Software": "ngpipe"},
    }
    with styled(style):
        figure.savefig(path, metadata=undated[path.suffix])


def _drawn(figure: Figure) -> Figure:
    """Lay the figure out now, while the style is in force."""
    figure.draw_without_rendering()
    return figure
