"""Paths through a network, layer by layer: groups as boxes, connections as curves between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.legend_handler import HandlerPatch
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, ScaledTranslation

from ngpipe.config.figures import Style
from ngpipe.errors import ArgumentError
from ngpipe.figures.drawing.ordering import fewest_crossings
from ngpipe.figures.drawing.row_names import key_room, row_of_keys
from ngpipe.figures.drawing.scale import MISSING, ColorScale, color_scale
from ngpipe.figures.drawing.style import small_text, text_width

COLUMNS = ("layer", "pre", "post", "weight")
MOST = 24
"""Groups in one layer: more cannot be told apart."""
THIN, WIDE = 0.4, 3.0
"""Line widths [pt] of the weakest and the strongest connection."""
PORTS = 0.35
"""Connections of a box spread over its side, by this share of its height up and down."""
STAND_OFF = 1.2
"""Gap between the end of a connection and its box [pt]."""
ENDS = {True: "-|>,head_length=0.45,head_width=0.22", False: "-[,widthB=0.35,lengthB=0"}
"""An arrow where a connection excites, a bar where it inhibits."""

Node = tuple[int, str]
"""Layer and name of a group."""


@dataclass(frozen=True)
class Box:
    """Position and size of a group [pt]."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Curve:
    """A connection that leaves a box at its right and enters another at its left, horizontally.

    A connection style of Matplotlib: called with both ends in pixels. Lengths in points become
    pixels by ``shrinkA``, the size of one point in pixels.
    """

    start: tuple[float, float]
    """From the centre of the pre box to where the curve begins [pt]."""
    end: tuple[float, float]
    """From the centre of the post box to where it ends [pt]."""

    def __call__(self, posA, posB, shrinkA=1.0, **_: object) -> Path:  # noqa: ANN001
        """The curve in pixels."""
        first = np.asarray(posA) + shrinkA * np.asarray(self.start)
        last = np.asarray(posB) + shrinkA * np.asarray(self.end)
        middle = (first[0] + last[0]) / 2
        bends = [first, (middle, first[1]), (middle, last[1]), last]
        return Path(bends, [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])


def layered_paths(
    ax: Axes,
    table: pd.DataFrame,
    style: Style,
    *,
    width: str = "weight",
    label: str = "activity",
) -> Axes:
    """Connections between groups from layer to layer, those that excite and those that inhibit.

    A row of layer l leads from a group in column l - 1 to one in column l, as in
    :func:`ngpipe.connectome.activations_to_df`. Groups are ordered for few crossings.

    Args:
        ax: where to draw.
        table: columns ``layer``, ``pre``, ``post``, ``weight`` (its sign says whether it excites);
            with ``pre_activation`` and ``post_activation`` boxes are filled by activity.
        style: how it looks.
        width: column whose magnitude gives the width of lines: ``weight``, or another such as
            ``flow``.
        label: of the activity, with its unit.

    Raises:
        ArgumentError: missing columns, no rows, a connection twice, a weight that is 0 or not
            finite, two activities of one group in one layer, more than 24 groups in a layer.
    """
    edges = _checked(table, width)
    nodes = _nodes(edges)
    activity = _activity(edges)
    boxes = _boxes(nodes, edges, style)
    scale = None
    if activity:
        scale = color_scale(np.array(list(activity.values())), style, symmetric=False)
    for node, box in boxes.items():
        _draw_box(ax, box, node[1], style, _fill(activity.get(node), scale))
    _draw_edges(ax, edges, boxes, width, style)
    _frame(ax, sorted({layer for layer, _ in nodes}), key_room(ax, style))
    _legend(ax, edges, width, style, start=boxes[nodes[0]].width / 2)
    if scale is not None:
        place = {"shrink": 0.75, "aspect": 16, "pad": 0.02, "anchor": (0, 1)}  # above the keys
        ax.figure.colorbar(scale.mappable(), ax=ax, **place).set_label(label)
    return ax


def _checked(table: pd.DataFrame, width: str) -> pd.DataFrame:
    missing = [c for c in (*COLUMNS, width) if c not in table]
    if missing or table.empty:
        raise ArgumentError(
            f"the table of paths has {len(table)} rows and lacks the columns {missing}; expected "
            f"rows with {list(dict.fromkeys([*COLUMNS, width]))}"
        )
    edges = table.assign(pre=table["pre"].astype(str), post=table["post"].astype(str))
    for column in ("weight", width):
        bad = ~np.isfinite(edges[column]) | (edges[column] == 0)
        if bad.any():
            raise ArgumentError(
                f"{column} of {_named(edges[bad].iloc[0])} is {edges[column][bad].iloc[0]}; leave "
                "connections out that are absent"
            )
    twice = edges.duplicated(["layer", "pre", "post"])
    if twice.any():
        raise ArgumentError(
            f"{_named(edges[twice].iloc[0])} is in the table twice; draw one sample at a time, or "
            "add up its connections"
        )
    return edges.astype({"layer": int}).sort_values(["layer", "pre", "post"], ignore_index=True)


def _named(edge: pd.Series) -> str:
    return f"the connection {edge['pre']} -> {edge['post']} of layer {edge['layer']}"


def _nodes(edges: pd.DataFrame) -> list[Node]:
    """Groups in both columns of every row, by column, then name; none twice."""
    pre = zip(edges["layer"] - 1, edges["pre"], strict=True)
    post = zip(edges["layer"], edges["post"], strict=True)
    nodes = sorted({*pre, *post})
    count = pd.Series([layer for layer, _ in nodes]).value_counts()
    if count.max() > MOST:
        raise ArgumentError(
            f"layer {count.idxmax()} has {count.max()} groups, more than the {MOST} that can be "
            "told apart; keep the strongest connections, or make groups larger"
        )
    return nodes


def _activity(edges: pd.DataFrame) -> dict[Node, float]:
    """Activity of each group where the table has it; empty where it has none."""
    found: dict[Node, float] = {}
    for side, shift in (("pre", 1), ("post", 0)):
        if f"{side}_activation" not in edges:
            continue
        rows = zip(edges["layer"] - shift, edges[side], edges[f"{side}_activation"], strict=True)
        for layer, name, value in rows:
            known = found.setdefault((layer, name), float(value))
            if not np.isclose(known, value, rtol=1e-3, equal_nan=True):
                raise ArgumentError(
                    f"group {name} has activities {known:g} and {value:g} in layer {layer}; draw "
                    "one sample at a time"
                )
    return found


def _boxes(nodes: Sequence[Node], edges: pd.DataFrame, style: Style) -> dict[Node, Box]:
    """A place for every group: its layer across, its rank among those of the layer down."""
    layers = sorted({layer for layer, _ in nodes})
    members = [[name for at, name in nodes if at == layer] for layer in layers]
    links = [_links(edges, pair, nodes) for pair in pairwise(layers)]
    ranks = fewest_crossings([len(names) for names in members], links)
    size = small_text(style)
    boxes = {}
    for layer, names, rank in zip(layers, members, ranks, strict=True):
        width = max(text_width(name, size) for name in names) + 0.8 * size
        for name, place in zip(names, rank, strict=True):
            y = 1 - (place + 0.5) / len(names)
            boxes[layer, name] = Box(float(layer), y, width, 1.45 * size)
    return boxes


def _links(edges: pd.DataFrame, layers: tuple[int, int], nodes: Sequence[Node]) -> np.ndarray:
    """Connections between two layers as numbers of groups in them; none across a gap."""
    first, second = layers
    rows = edges[edges["layer"] == second] if second == first + 1 else edges[:0]
    sides = []
    for layer, side in ((first, "pre"), (second, "post")):
        names = pd.Index([name for at, name in nodes if at == layer])
        sides.append(names.get_indexer(rows[side]))
    return np.stack(sides, axis=1).astype(np.int64)


def _fill(value: float | None, scale: ColorScale | None) -> tuple[float, ...] | str:
    if scale is None or value is None:
        return "white"
    return tuple(scale.colormap(scale.norm(value))) if np.isfinite(value) else MISSING


def _draw_box(ax: Axes, box: Box, name: str, style: Style, fill: tuple[float, ...] | str) -> None:
    points = Affine2D().scale(1 / 72) + ax.figure.dpi_scale_trans
    patch = FancyBboxPatch(
        (-box.width / 2, -box.height / 2),
        box.width,
        box.height,
        boxstyle="round,pad=0,rounding_size=2.5",
        transform=points + ScaledTranslation(box.x, box.y, ax.transData),
        facecolor=fill,
        edgecolor="0.25",
        linewidth=0.6,
        clip_on=False,
        zorder=3,
    )
    ax.add_artist(patch)
    red, green, blue, _ = mpl.colors.to_rgba(fill)
    dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
    look = {"color": "white" if dark else "black", "fontsize": small_text(style), "zorder": 4}
    ax.text(box.x, box.y, name, ha="center", va="center_baseline", clip_on=False, **look)


def _draw_edges(
    ax: Axes, edges: pd.DataFrame, boxes: Mapping[Node, Box], width: str, style: Style
) -> None:
    """The widest last, on top."""
    size = edges[width].abs()
    widths = THIN + (WIDE - THIN) * (size / size.max()).to_numpy()
    leave, arrive = _ports(edges, boxes)
    for k in np.argsort(widths, kind="stable"):
        row = edges.iloc[k]
        pre, post = boxes[row["layer"] - 1, row["pre"]], boxes[row["layer"], row["post"]]
        curve = Curve((pre.width / 2, leave[k]), (-post.width / 2 - STAND_OFF, arrive[k]))
        look = edge_look(bool(row["weight"] > 0), float(widths[k]), style)
        patch = FancyArrowPatch(
            (pre.x, pre.y), (post.x, post.y), connectionstyle=curve, shrinkA=1, **look
        )
        patch.set(zorder=2, clip_on=False, in_layout=False)
        patch.set_label(f"{row['layer']}:{row['pre']}->{row['post']}")
        ax.add_artist(patch)


def edge_look(excites: bool, width: float, style: Style) -> dict[str, object]:
    """Colour and end of a connection: those of a positive or negative weight of W."""
    colors = mpl.colormaps[style.weight_colormap]
    return {
        "arrowstyle": ENDS[excites],
        "color": colors(0.95 if excites else 0.05),
        "linewidth": width,
        "mutation_scale": 7 + 3 * width,
        "alpha": 0.85,
        "joinstyle": "miter",
        "capstyle": "butt",
    }


def _ports(edges: pd.DataFrame, boxes: Mapping[Node, Box]) -> tuple[np.ndarray, np.ndarray]:
    """Heights [pt] above the middle of the box at which each connection leaves and arrives.

    Connections of a box are sorted as the boxes at their other ends.
    """
    ends = edges.assign(
        pre_y=[boxes[n].y for n in zip(edges["layer"] - 1, edges["pre"], strict=True)],
        post_y=[boxes[n].y for n in zip(edges["layer"], edges["post"], strict=True)],
    )
    height = next(iter(boxes.values())).height
    shifts = []
    for near, far in (("pre", "post_y"), ("post", "pre_y")):
        group = ends.groupby(["layer", near])[far]
        rank, count = group.rank(method="first"), group.transform("count")
        shifts.append((PORTS * height * (2 * rank - count - 1) / count).to_numpy())
    return shifts[0], shifts[1]


def _frame(ax: Axes, layers: list[int], room: float) -> None:
    ax.set(xlim=(layers[0], layers[-1]), ylim=(-room / (1 - room), 1), yticks=[])
    first, *others = layers
    ax.set_xticks(layers, [f"layer {first}", *map(str, others)])
    ax.xaxis.tick_top()
    ax.tick_params(axis="x", length=0, pad=2)
    ax.spines[:].set_visible(False)


def _legend(ax: Axes, edges: pd.DataFrame, width: str, style: Style, start: float) -> None:
    """Both signs, where there are both, and the strongest connection."""
    verbs = {True: "excites", False: "inhibits"}
    present = set(edges["weight"] > 0)
    handles = [
        FancyArrowPatch((0, 0), (1, 0), label=name, **edge_look(excites, 1.2, style))
        for excites, name in verbs.items()
        if excites in present
    ]
    strongest = f"|{width}| = {edges[width].abs().max():.2g}"
    line = {"arrowstyle": "-", "color": "0.4", "linewidth": WIDE, "capstyle": "butt"}
    handles.append(FancyArrowPatch((0, 0), (1, 0), label=strongest, **line))
    handlers = {FancyArrowPatch: HandlerPatch(patch_func=_key)}
    row_of_keys(ax, handles, style, upper=False, start=start, handlers=handlers)


def _key(orig_handle: FancyArrowPatch, width: float, height: float, **_: object) -> FancyArrowPatch:
    """The line of a legend entry."""
    return FancyArrowPatch(
        (0, height / 2),
        (width, height / 2),
        arrowstyle=orig_handle.get_arrowstyle(),
        mutation_scale=orig_handle.get_mutation_scale(),
        shrinkA=0,
        shrinkB=0,
    )
