"""Connectivity by the length of paths as pictures, under connectome_interpreter's names.

Drawn as :mod:`ngpipe.connectome.interpreter.plots` says.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from ngpipe.connectome.interpreter.lengths import conn_by_path_length_data
from ngpipe.connectome.interpreter.plots import figures_plots
from ngpipe.connectome.interpreter.pruning import listed
from ngpipe.connectome.interpreter.summaries import (
    contribution_by_path_lengths_data,
    summaries_by_length,
)
from ngpipe.errors import ArgumentError

Groups = Mapping[Any, Any] | None


def contribution_by_path_lengths(
    steps: Iterable[Any],
    inidx: Any,  # noqa: ANN401
    outidx: Any,  # noqa: ANN401
    outidx_map: Groups = None,
    inidx_map: Groups = None,
    width: int | float = 800,
    height: int | float = 400,
) -> Any:  # noqa: ANN401
    """Input of an average target from all sources over paths of each length, one line per group.

    Equation and arguments: :func:`ngpipe.connectome.contribution_by_path_lengths_data`.

    Args:
        steps: matrices ``[pre, post]``: of 1 hop, 2 hops ...
        inidx: sources.
        outidx: targets.
        outidx_map: group of each target.
        inidx_map: group of each source, in place of ``outidx_map``.
        width: of the figure [pixels].
        height: of the figure [pixels].

    Returns:
        A ``matplotlib.figure.Figure`` (of the package: a plotly one).

    Raises:
        ArgumentError: as there.
    """
    table = contribution_by_path_lengths_data(steps, inidx, outidx, outidx_map, inidx_map)
    return _by_length(table, "contribution", (width, height))


def conn_by_path_length(  # noqa: PLR0913 (the signature of existing scripts)
    inprop: Any,  # noqa: ANN401
    inidx: Any,  # noqa: ANN401
    outidx: Any,  # noqa: ANN401
    n: int,
    outidx_map: Groups = None,
    inidx_map: Groups = None,
    intermediate_group: Groups = None,
    combining_method: str = "mean",
    width: int | float = 800,
    height: int | float = 400,
) -> Any:  # noqa: ANN401
    """Effective connectivity over paths of 1 to n hops, a line a group of one end.

    Equation and arguments: :func:`ngpipe.connectome.conn_by_path_length_data`.

    Args:
        inprop: weights ``[pre, post]``.
        inidx: sources.
        outidx: targets.
        n: longest path [hops].
        outidx_map: group of each target; default, without ``inidx_map``: every target on its own.
        inidx_map: group of each source, in place of ``outidx_map``.
        intermediate_group: group of neurons in between.
        combining_method: ``mean``, ``sum`` or ``median``.
        width: of the figure [pixels].
        height: of the figure [pixels].

    Returns:
        A ``matplotlib.figure.Figure`` (of the package: a plotly one).

    Raises:
        ArgumentError: both maps, no path; as there.
    """
    if inidx_map is not None and outidx_map is not None:
        raise ArgumentError(
            "both inidx_map and outidx_map are given; give one of them, or draw "
            "conn_by_path_length_heatmap"
        )
    if inidx_map is None and outidx_map is None:
        outidx_map = {neuron: neuron for neuron in listed(outidx)}
    grouping = (outidx_map, inidx_map, intermediate_group, combining_method)
    table: Any = conn_by_path_length_data(inprop, inidx, outidx, n, *grouping)
    if table.empty:
        raise ArgumentError(f"no path of 1 to {n} hops leads from inidx to outidx; raise n")
    return _by_length(table, "effective connectivity", (width, height))


def conn_by_path_length_heatmap(  # noqa: PLR0913 (the signature of existing scripts)
    inprop: Any,  # noqa: ANN401
    inidx: Any,  # noqa: ANN401
    outidx: Any,  # noqa: ANN401
    n: int,
    outidx_map: Groups = None,
    inidx_map: Groups = None,
    threshold: int | float = 0,
    combining_method: str = "mean",
    cmap: str = "viridis",
    annot: bool = True,
    figsize: tuple[int | float, int | float] = (30, 15),
) -> Any:  # noqa: ANN401
    """Effective connectivity between groups over paths of 1 to n hops, a picture a length.

    Equation: :func:`ngpipe.connectome.conn_by_path_length_data`. Colours mean the same in all
    pictures.

    Differs from connectome_interpreter: the threshold is on the magnitude; without maps every
    neuron is on its own (there it fails).

    Args:
        inprop: weights ``[pre, post]``.
        inidx: sources.
        outidx: targets.
        n: longest path [hops].
        outidx_map: group of each target; both maps are given, or none.
        inidx_map: group of each source.
        threshold: sources (and targets) stay with this magnitude in a pair of any length.
        combining_method: ``mean``, ``sum`` or ``median``.
        cmap: a colormap of Matplotlib.
        annot: write values, two digits behind the point.
        figsize: width and height [inch].

    Returns:
        A ``matplotlib.figure.Figure`` (of the package: a widget with a slider).

    Raises:
        ArgumentError: one map alone; nothing above the threshold; no such colormap; as there.
    """
    if (inidx_map is None) != (outidx_map is None):
        raise ArgumentError(
            "one of inidx_map and outidx_map is given; give both, or draw conn_by_path_length"
        )
    options: dict[str, Any] = {"combining_method": combining_method, "wide": True}
    tables = conn_by_path_length_data(inprop, inidx, outidx, n, outidx_map, inidx_map, **options)
    large = [table.abs() >= threshold for table in tables]
    if not any(table.to_numpy().any() for table in large):
        raise ArgumentError(
            f"no effective connectivity over 1 to {n} hops reaches threshold={threshold:g}; lower "
            "it or raise n"
        )
    pre = {name for table in large for name in table.index[table.any(axis=1)]}
    post = {name for table in large for name in table.columns[table.any(axis=0)]}
    kept = [table.loc[table.index.isin(pre), table.columns.isin(post)] for table in tables]
    return _heatmaps(kept, cmap, annot, figsize)


def contribution_by_path_lengths_heatmap(  # noqa: PLR0913 (the signature of existing scripts)
    steps: Iterable[Any],
    inidx: Any,  # noqa: ANN401
    outidx: Any,  # noqa: ANN401
    inidx_map: Groups = None,
    outidx_map: Groups = None,
    sort_by_index: bool = True,
    sort_names: Any = None,  # noqa: ANN401
    pre_in_column: bool = False,
    display_threshold: int | float = 0,
    cmap: str = "viridis",
    figsize: tuple[int | float, int | float] = (30, 15),
) -> Any:  # noqa: ANN401
    """Weights between groups over paths of each length, a picture a length.

    Equation: :func:`ngpipe.connectome.connectivity_summary` of each of the steps. Colours mean the
    same in all pictures. Lengths of which nothing reaches the threshold have an empty one.

    Args:
        steps: matrices ``[pre, post]``: of 1 hop, 2 hops ...
        inidx: sources.
        outidx: targets.
        inidx_map: group of each source; default: every neuron on its own.
        outidx_map: group of each target; default: as ``inidx_map``.
        sort_by_index: rows by name; else by weight in a column.
        sort_names: which columns; default: the first.
        pre_in_column: sources below, targets at the left.
        display_threshold: rows stay if a value has at least this magnitude.
        cmap: a colormap of Matplotlib.
        figsize: width and height [inch].

    Returns:
        A ``matplotlib.figure.Figure`` (of the package: a widget with a slider).

    Raises:
        ArgumentError: nothing above the threshold in any step; no such colormap; as there.
    """
    ends, groups = (inidx, outidx), (inidx_map, outidx_map)
    tables = summaries_by_length(
        steps, ends, groups, display_threshold, sort_names=sort_names, pre_in_column=pre_in_column
    )
    tables = [table.sort_index() for table in tables] if sort_by_index else tables
    return _heatmaps(tables, cmap, True, figsize)


def _by_length(table: pd.DataFrame, y_label: str, size: tuple[int | float, int | float]) -> Any:  # noqa: ANN401
    """A line for each group over path_length, of a table path_length, group, value."""
    length, kind, value = table.columns
    names = table[kind].astype(str)
    drawn = table.assign(panel=kind.replace("_", " "), line=names, hue=names)
    drawn = drawn.rename(columns={length: "x", value: "y"})
    figures = figures_plots()
    look = figures.Look(
        x_label="path length [synapses]",
        y_label=y_label,
        limits=figures.limits_of(drawn["y"], None, None),
        size=(float(size[0]), float(size[1])),
        markers=True,
    )
    figure = figures.small_multiples(drawn, look)
    for ax in figure.axes:
        ax.set_xticks(sorted(set(drawn["x"])))
    return figure


def _heatmaps(
    tables: list[pd.DataFrame], cmap: str, annot: bool, figsize: tuple[int | float, int | float]
) -> Any:  # noqa: ANN401
    named = {f"path length {length}": table for length, table in enumerate(tables, start=1)}
    size = (float(figsize[0]), float(figsize[1]))
    return figures_plots().heatmaps(named, size, colormap=cmap, written=annot)
