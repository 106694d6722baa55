"""From panel specs to figures: one panel alone, or all of them on one page."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from itertools import chain, product
from pathlib import Path
from string import ascii_lowercase

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ngpipe.config.figures import KINDS, Panel, Style
from ngpipe.config.figures import Figure as FigureSpec
from ngpipe.errors import ConfigError
from ngpipe.figures.drawing.headlines import Headline, fit_headlines
from ngpipe.figures.drawing.material import Material
from ngpipe.figures.drawing.style import new_figure, styled


def material_of(kind: str) -> type[Material]:
    """The class of what panels of a kind draw from; loads the module that draws them."""
    return import_module(KINDS[kind].module).MATERIAL


def draw_panel(material: Material, ax: Axes, letter: str = "") -> Headline:
    """Draw the panel that ``material.spec`` describes; returns what stands over it."""
    kind = KINDS[material.spec.kind]
    getattr(import_module(kind.module), kind.function)(material, ax)
    title = ax.get_title(loc="left")
    if material.spec.title is not None:
        title = material.spec.title.replace("{}", title)
    return Headline(ax, title, letter)


def panel_figure(material: Material) -> Figure:
    """One panel on its own.

    Raises:
        ConfigError: it does not fit its size.
    """
    style = material.style
    with styled(style):
        figure = new_figure(*(material.spec.size or _alone(material.spec, style)))
        return _drawn(figure, [draw_panel(material, figure.subplots())])


def page(spec: FigureSpec, style: Style, material: Mapping[str, Material]) -> Figure:
    """All panels of a figure on one page, lettered in reading order.

    Args:
        spec: panels and layout.
        style: how everything looks.
        material: what each panel draws from, by panel name.

    Raises:
        ConfigError: the panels do not fit the page.
    """
    rows = spec.layout()
    with styled(style):
        heights = spec.row_heights or [1.0] * len(rows)
        figure = new_figure(spec.width, spec.row_height * sum(heights))
        bands = np.atleast_1d(figure.subfigures(len(rows), 1, height_ratios=heights))
        letters, headlines = _letters(), []
        for band, row in zip(bands, rows, strict=True):
            for name, ax in band.subplot_mosaic([row], empty_sentinel=".").items():
                headlines.append(draw_panel(material[name], ax, next(letters)))
        return _drawn(figure, headlines)


def caption(spec: FigureSpec) -> str:
    """Caption of the page: one sentence per panel, under its letter."""
    order = dict.fromkeys(name for row in spec.layout() for name in row if name != ".")
    lines = [
        f"({letter}) {name}, of {spec.panels[name].of}: {KINDS[spec.panels[name].kind].shows}."
        for letter, name in zip(_letters(), order, strict=False)
    ]
    return "\n".join(lines) + "\n"


def save(figure: Figure, path: Path, style: Style) -> None:
    """Write a figure as svg, pdf or png; the same figure gives the same bytes."""
    undated = {
        ".svg": {"Date": None},
        ".pdf": {"CreationDate": None},
        ".png": {"Software": "ngpipe"},
    }
    with styled(style):
        figure.savefig(path, metadata=undated[path.suffix])


def _letters() -> Iterator[str]:
    """The letters a to z, then aa, ab, ..."""
    return chain(ascii_lowercase, map("".join, product(ascii_lowercase, repeat=2)))


def _alone(spec: Panel, style: Style) -> tuple[float, float]:
    """Size of a panel on its own [inch]: a kind that is wide on a page is so here too."""
    return style.panel_width * (1 + 0.7 * (spec.columns(style.panel_width) - 1)), style.panel_height


def _drawn(figure: Figure, headlines: Sequence[Headline]) -> Figure:
    """Lay the figure out now, while the style is in force."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="constrained_layout not applied")
        try:
            figure.draw_without_rendering()
        except UserWarning as error:
            width, height = figure.get_size_inches()
            raise ConfigError(
                f"{len(headlines)} panels do not fit a page of {width:.1f} x {height:.1f} inch: "
                "their labels leave no room for the axes; make it larger (width, row_height, or "
                "size of a panel), or give wide panels more places of a row in mosaic"
            ) from error
    fit_headlines(headlines)
    return figure
