"""Panels drawn on their own, and what can be measured of them."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from unittest import mock

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from ngpipe.config.figures import KINDS, Panel, Style
from ngpipe.figures.drawing import compose
from ngpipe.figures.drawing.headlines import Headline
from ngpipe.figures.drawing.material import Material, results_of
from ngpipe.figures.drawing.style import new_figure, styled

STYLE = Style(dpi=100)


def read_by(spec: Panel, material: type, results: Mapping[str, object]) -> dict[str, object]:
    """Those of some results that a panel says it reads."""
    known = {name: one.file for name, one in results_of(material).items()}
    return {name: r for name, r in results.items() if known[name] in KINDS[spec.kind].reads}


def panel(draw: Callable, size: tuple[float, float] = (3.4, 2.6), **options) -> Figure:
    """A figure with one panel, ``draw(ax, style=..., **options)``, laid out as when saved."""
    with styled(STYLE):
        figure = new_figure(*size)
        draw(figure.subplots(), style=STYLE, **options)
        figure.draw_without_rendering()
    return figure


def axes_of(material: Material) -> Axes:
    """A panel with all that is drawn and written in it, but not laid out, which takes longest.

    For tests of what is shown; where it is, and whether it has room, `panel_figure` tells.
    """
    with mock.patch.object(compose, "_drawn", _with_titles):
        return compose.panel_figure(material).axes[0]


def _with_titles(figure: Figure, headlines: Sequence[Headline]) -> Figure:
    for headline in headlines:
        headline.show(headline.title)
    return figure


def pixels(figure: Figure) -> np.ndarray:
    """Red, green and blue of every pixel, from the top."""
    with styled(STYLE):
        figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3]


def clipped(figure: Figure) -> bool:
    """Whether something touches the edge of the page."""
    image = pixels(figure)
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    return bool((border < 250).any())


def texts(figure: Figure) -> list[Text]:
    """All text that is shown: of the ticks only those in view."""
    axes = figure.findobj(Axis)
    ticks = {id(t) for axis in axes for t in axis.findobj(Text) if t is not axis.label}
    for axis in axes:
        low, high = sorted(axis.get_view_interval())
        shown = [t for t in axis.get_major_ticks() if low <= t.get_loc() <= high]
        ticks -= {id(label) for tick in shown for label in (tick.label1, tick.label2)}
    found = figure.findobj(lambda a: isinstance(a, Text) and a.get_visible() and a.get_text())
    return [t for t in found if id(t) not in ticks and Text.get_window_extent(t).width]


def overlapping(shown: Sequence[Text]) -> list[tuple[str, str]]:
    """Pairs of texts whose ink may meet: boxes in pixels, without the room below the baseline."""
    boxes = [(t.get_text(), _ink(t)) for t in shown]
    return [(a, b) for (a, p), (b, q) in combinations(boxes, 2) if Bbox.intersection(p, q)]


def _ink(text: Text) -> Bbox:
    box = Text.get_window_extent(text)
    return box.padded(-0.1 * box.height)
