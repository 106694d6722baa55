"""Activity as pictures, under the names of connectome_interpreter's later version.

Tables are made here and drawn by :mod:`ngpipe.figures.plots`, which stands higher on the stairs. It
is therefore loaded when a plot is asked for, by its name: an import statement, wherever it stands,
would make every result of this package depend on how figures look (:mod:`ngpipe.keys`). Where the
later version has a slider, there is one picture beside another.
"""

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

import pandas as pd

from ngpipe.connectome.dataframes import activity_by_column
from ngpipe.errors import ArgumentError

LOOKS = {"font_type": "font", "linecolor": "axis_color", "papercolor": "paper"}
"""Keys of ``style``."""
SIZES = {
    "fsize_ticks_pt": "text",
    "fsize_title_pt": "title_text",
    "axislinewidth": "line_width",
    "markersize": "marker_size",
}
"""Keys of ``sizing`` beside ``fig_width`` and ``fig_height``."""
MODES = {"lines": (True, False), "markers": (False, True), "lines+markers": (True, True)}
"""Lines between points, and markers."""


def plot_activity_by_column(  # noqa: PLR0913 (the signature of existing scripts)
    activity: Any,  # noqa: ANN401
    idx_to_group: Mapping[Any, Any],
    idx_to_column: Mapping[Any, Any],
    selected_group: Any,  # noqa: ANN401
    plot_type: str = "line",
    model_input: Any = None,  # noqa: ANN401
    sensory_indices: Any = None,  # noqa: ANN401
    figsize: tuple[int | float, int | float] = (800, 600),
    global_min: float | None = None,
    global_max: float | None = None,
) -> Any:  # noqa: ANN401
    """Mean activity over the columns of each group: a picture a time step, a colour a group.

    Args:
        activity: ``(neuron, time)``.
        idx_to_group: group of each neuron.
        idx_to_column: column of each neuron, a number.
        selected_group: groups to show.
        plot_type: ``line`` or ``scatter``.
        model_input: ``(sensor, time)``; its first time step is shown as time step 0.
        sensory_indices: the sensory neurons, in the order of its rows.
        figsize: width and height [pixels].
        global_min: least activity shown; None: the least there is, at most 0.
        global_max: largest activity shown; None: the largest there is, at least 1.

    Returns:
        A ``matplotlib.figure.Figure``.

    Raises:
        ArgumentError: another plot_type; and those of :func:`ngpipe.connectome.activity_by_column`.
    """
    kinds = {"line": (True, True), "scatter": (False, True)}
    lines, markers = kinds[_one_of("plot_type", plot_type, kinds)]
    table = activity_by_column(
        activity, idx_to_group, idx_to_column, selected_group, model_input, sensory_indices
    )
    values = table["activation"]
    drawn = pd.DataFrame(
        {
            "panel": "time step " + table["time_step"].astype(str),
            "line": table["cell_group"],
            "hue": table["cell_group"].astype(str),
            "x": table["normalised_column"],
            "y": values,
        }
    )
    figures = figures_plots()
    reach = pd.concat([values, pd.Series([0.0, 1.0])])
    look = figures.Look(
        x_label="column, relative to the largest of its group",
        y_label="activity",
        limits=figures.limits_of(reach, global_min, global_max),
        size=(float(figsize[0]), float(figsize[1])),
        lines=lines,
        markers=markers,
    )
    return figures.small_multiples(drawn, look)


def plot_timeseries(  # noqa: PLR0913 (the signature of existing scripts)
    df: pd.DataFrame,
    style: Mapping[str, Any] | None = None,
    sizing: Mapping[str, Any] | None = None,
    x_label: str = "Time",
    y_label: str = "Activation",
    title: str | None = None,
    slider_dim: str | None = "batch",
    ymin: float | None = None,
    ymax: float | None = None,
    scatter_mode: str = "lines",
) -> Any:  # noqa: ANN401
    """Activity over time, as tables of :func:`ngpipe.connectome.get_neuron_activation` have it.

    Args:
        df: columns ``group``, ``time_0``, ``time_1`` ..., perhaps ``batch_name``.
        style: ``font_type``, ``linecolor``, ``papercolor`` (colours of Matplotlib).
        sizing: ``fig_width``, ``fig_height`` [pixels], ``fsize_ticks_pt``, ``fsize_title_pt``
            [pt], ``axislinewidth``, ``markersize`` [pt].
        x_label: below.
        y_label: at the left.
        title: of the figure.
        slider_dim: what has a picture for each value, ``batch`` or ``group``; the other has a
            colour for each. None, or no batch_name: one picture, each group in one colour.
        ymin: least activity shown; None: the least there is.
        ymax: largest activity shown; None: the largest there is.
        scatter_mode: ``lines``, ``markers`` or ``lines+markers``.

    Returns:
        A ``matplotlib.figure.Figure``.

    Raises:
        ArgumentError: missing columns, a line twice, another slider_dim or scatter_mode, a key of
            style or sizing that is not there.
    """
    lines, markers = MODES[_one_of("scatter_mode", scatter_mode, MODES)]
    _one_of("slider_dim", slider_dim, ("batch", "group", None))
    table = _long(df, slider_dim)
    sizes = dict(sizing or {})
    figures = figures_plots()
    look = figures.Look(
        x_label=x_label,
        y_label=y_label,
        limits=figures.limits_of(table["y"], ymin, ymax),
        size=(float(sizes.pop("fig_width", 600)), float(sizes.pop("fig_height", 400))),
        lines=lines,
        markers=markers,
        title=title,
        **_renamed("style", style or {}, LOOKS),
        **{k: float(v) for k, v in _renamed("sizing", sizes, SIZES).items()},
    )
    return figures.small_multiples(table, look)


def _long(df: pd.DataFrame, slider_dim: str | None) -> pd.DataFrame:
    """A row a point: panel, line, hue, x, y."""
    times = [c for c in df if str(c).startswith("time_")]
    if not times or "group" not in df or df.empty:
        raise ArgumentError(
            f"df has {len(df)} rows with columns {list(df)}, expected rows with 'group' and "
            "'time_0', 'time_1' ...; get_neuron_activation makes such tables"
        )
    keys = [key for key in ("batch_name", "group") if key in df]
    twice = df[keys][df.duplicated(keys)]
    if len(twice):
        raise ArgumentError(f"df has {dict(twice.iloc[0])} in more than one row; take their mean")
    table = df.assign(line=range(len(df))).melt([*keys, "line"], times, "time", "y")
    names = table[keys].astype(str)
    batch = names["batch_name"] if "batch_name" in names else pd.Series("", table.index)
    panel = {"batch": batch, "group": names["group"], None: pd.Series("", table.index)}
    by_group = slider_dim == "group" and "batch_name" in names
    return pd.DataFrame(
        {
            "panel": panel[slider_dim] if "batch_name" in names else "",
            "line": table["line"],
            "hue": batch if by_group else names["group"],
            "x": table["time"].str.removeprefix("time_").astype(int),
            "y": table["y"].astype(float),
        }
    ).sort_values(["line", "x"], kind="stable", ignore_index=True)


def _renamed(name: str, given: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, Any]:
    for key in given:
        _one_of(f"key of {name}", key, known)
    return {known[key]: value for key, value in given.items()}


def _one_of(name: str, value: Any, known: Any) -> Any:  # noqa: ANN401
    if value not in known:
        raise ArgumentError(f"{name} is {value!r}, expected one of {list(known)}")
    return value


def figures_plots() -> ModuleType:
    """Drawing functions, loaded when needed; see the head of this module."""
    return import_module("ngpipe.figures.plots")
