"""Style of all figures: fonts, sizes, colours. Colours of types come from one place."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.path import Path
from matplotlib.textpath import TextPath

from ngpipe.config.figures import Style


@contextmanager
def styled(style: Style) -> Iterator[None]:
    """Settings of Matplotlib inside the block; the same input gives the same bytes."""
    size = style.font_size
    settings = {
        "font.size": size,
        "axes.titlesize": size,
        "axes.titlelocation": "left",
        "axes.labelsize": size,
        "xtick.labelsize": size - 1,
        "ytick.labelsize": size - 1,
        "legend.fontsize": size - 1,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.6,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "lines.linewidth": 1.0,
        "legend.frameon": False,
        "figure.dpi": style.dpi,
        "savefig.dpi": style.dpi,
        "svg.hashsalt": "ngpipe",
    }
    with mpl.rc_context(settings):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size [inch], independent of any display."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def small_text(style: Style) -> float:
    """Size [pt] of the smallest text of a panel."""
    return style.font_size - 1.5


def text_width(text: str, size: float) -> float:
    """Width of a line of text of this size [pt]; of an empty one 0."""
    return _width_at_100(text, findfont(FontProperties())) * size / 100 if text.strip() else 0.0


@lru_cache(4096)  # a layout measures the same words again at every size that it tries
def _width_at_100(text: str, _font: str) -> float:
    """Width of a line of text of 100 pt [pt] in the font in force, which is the file given."""
    outline = TextPath((0, 0), text, size=100).cleaned(curves=False)  # curves as many points
    x = outline.vertices[np.isin(outline.codes, (Path.MOVETO, Path.LINETO)), 0]
    return float(np.ptp(x))


def type_colors(types: np.ndarray, style: Style) -> np.ndarray:
    """RGBA colour of every neuron, one colour a type; more than ten types share a wider map."""
    kinds, index = np.unique(types, return_inverse=True)
    name = style.type_colormap if len(kinds) <= 10 else "gist_rainbow"
    colormap = mpl.colormaps[name]
    palette = (
        colormap(np.arange(len(kinds)) % colormap.N)
        if len(kinds) <= 10
        else colormap(np.linspace(0, 1, len(kinds)))
    )
    return palette[index]
