"""The movie of true and learned input, as an animated gif."""

from pathlib import Path

import numpy as np
from matplotlib.animation import PillowWriter

from ngpipe.figures.assembly.inputs import clock, side_by_side
from ngpipe.figures.assembly.material import AssemblyMaterial
from ngpipe.figures.drawing.compose import draw_panel
from ngpipe.figures.drawing.headlines import fit_headlines
from ngpipe.figures.drawing.style import new_figure, styled

MOST_FRAMES = 125
"""Frames of a movie: more samples than this are thinned evenly."""
FRAMES_PER_SECOND = 10
SIZE = (4.8, 2.6)
"""Width and height [inch]."""
DPI = 100


def save(material: AssemblyMaterial, path: Path) -> None:
    """Write the movie; the same material gives the same bytes."""
    inputs = side_by_side(material)
    n = len(inputs.times)
    chosen = np.linspace(0, n - 1, min(n, MOST_FRAMES)).round().astype(int)
    with styled(material.style.model_copy(update={"dpi": DPI})):
        figure = new_figure(*SIZE)
        ax = figure.subplots()
        headline = draw_panel(material, ax)
        figure.draw_without_rendering()
        fit_headlines([headline])
        figure.set_layout_engine("none")  # pictures must not move from frame to frame
        writer = PillowWriter(fps=FRAMES_PER_SECOND)
        with writer.saving(figure, str(path), dpi=DPI):
            for k in chosen:
                for image, values in zip(
                    ax.images, (inputs.true[k], inputs.learned[k]), strict=True
                ):
                    image.set_data(inputs.raster.image(values))
                ax.set_xlabel(clock(material, inputs.times[k]))
                writer.grab_frame()
