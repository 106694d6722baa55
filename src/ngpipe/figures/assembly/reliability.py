"""Panels of how far a recording can be trusted: forecasts, halves, the diagnosis in words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float
from matplotlib.axes import Axes

from ngpipe.config.panels import PanelKind
from ngpipe.errors import StoreError
from ngpipe.figures.assembly.material import AssemblyMaterial
from ngpipe.figures.assembly.structure import annotate, density_scatter
from ngpipe.figures.drawing.material import labelled, pretty
from ngpipe.figures.drawing.row_names import height_of, legend_below, say_nothing, width_of
from ngpipe.figures.drawing.style import text_width
from ngpipe.figures.drawing.ticks import log_axis

NAMES = {
    "model": "model",
    "persistence": "no change",
    "autoregression": "linear autoregression",
    "alone": "each neuron alone",
}
"""Predictors as they are called in panels."""
LOOKS: Mapping[str, Mapping[str, Any]] = {
    "persistence": {"color": "0.85", "linewidth": 3.5},
    "autoregression": {"color": "0.2", "linestyle": "--"},
    "alone": {"color": "0.45", "linestyle": "-."},
}
"""Lines of the baselines: no change is wide, as others may hide it."""
LINE, BOLD, SMALLEST = 1.3, 1.12, 4.5
"""Text of the diagnosis: line spacing and the width of bold type, relative to the size of text and
the width of plain type; smallest size [pt]."""
FEW_STARTS, MARGIN = 5, 0.05
"""Fewer starts have no standard error: the model then has to be better by this share."""
FAR = 10
"""Error over variance beyond which a forecast is not told in numbers."""
SHOWN = 0.999
"""Fraction of weights inside the axes."""


PANELS = (
    PanelKind(
        "prediction_baselines",
        system="assembly",
        shows="error of forecasts of held-out activity over the time since their start, for the "
        "model (band: quartiles of the starts) and three baselines fitted to the same training "
        "frames: no change, linear autoregression, each neuron alone",
        reads=("rollout.zarr",),
    ),
    PanelKind(
        "halves",
        system="assembly",
        shows="W from the second half of the training frames against W from the first, with their "
        "correlation",
        reads=("recovery.zarr", "metrics.csv"),
    ),
    PanelKind(
        "diagnosis",
        system="assembly",
        shows="what the recording can tell of W, in words and numbers",
        reads=("training.zarr", "recovery.zarr", "rollout.zarr", "metrics.csv"),
        columns=2,
    ),
)
MATERIAL = AssemblyMaterial
"""Material of these panels."""


def prediction_baselines(material: AssemblyMaterial, ax: Axes) -> Axes:
    r"""Errors of forecasts of held-out activity, relative to its variance: 1 - R2, over the lead.

    A value of 1 is that of predicting every neuron's mean.
    """
    rollout = material.rollout
    ax.set_title("forecasts of held-out activity")
    if "forecast_error" not in rollout:
        say_nothing(ax, "no two held-out frames\nfollow one another")
        return ax
    unit, of_time = material.time_unit(rollout)
    lead, missed = unit * rollout["lead"].values, _missed(rollout)
    color = material.style.learned_color
    marker = {"marker": "o", "markersize": 3} if len(lead) < 8 else {}
    for name, look in LOOKS.items():
        ax.plot(lead, missed[name], label=NAMES[name], **look, **marker)
    single = rollout["forecast_error"].sel(predictor="model") / rollout["forecast_variance"].mean(
        "start"
    )
    if single.sizes["start"] > 3:
        low, high = single.quantile([0.25, 0.75], "start").values
        ax.fill_between(lead, low, high, color=color, alpha=0.2, linewidth=0)
    ax.plot(lead, missed["model"], color=color, label=NAMES["model"], **marker)
    ax.axhline(1, color="0.8", linewidth=0.8, zorder=0)
    # Beyond that, one has lost the activity; by how much is of no interest.
    top = min(10.0, 1.5 * max(1.0, float(np.nanmax(list(missed.values())))))
    if len(lead) > 1:
        ax.set_xlim(lead[0] / 1.1, lead[-1] * 1.1)
        log_axis(ax, "x")
    ax.set_yscale("log")
    ax.set_ylim(None, top)
    log_axis(ax, "y")
    ax.set_xlabel(f"time ahead [{pretty(of_time)}]")
    ax.set_ylabel("error / variance ($1 - R^2$)")
    *others, model = ax.get_legend_handles_labels()[0]
    legend_below(ax, [model, *others], material.style)
    return ax


def _missed(rollout: xr.Dataset) -> dict[str, Float[np.ndarray, " lead"]]:
    """Squared error over variance at every lead, of all starts together, by predictor."""
    variance = rollout["forecast_variance"].mean("start")
    error = rollout["forecast_error"].mean("start", skipna=False)
    return {name: (error.sel(predictor=name) / variance).values for name in NAMES}


def halves(material: AssemblyMaterial, ax: Axes) -> Axes:
    """W of the second half of the training frames against that of the first, as a density.

    Raises:
        StoreError: W was not solved for again.
    """
    recovery = material.recovery
    if "connectivity_halves" not in recovery:
        raise StoreError(
            "panel kind 'halves' draws W from either half of the recording, which recovery.zarr of "
            f"experiment '{material.spec.of}' does not hold: its halves have too few frames, or "
            "training.target is drift; leave the panel out of the figure"
        )
    both = recovery["connectivity_halves"].values
    # Pairs that no session sees together have no W.
    known = ~np.eye(both.shape[1], dtype=bool) & np.isfinite(both).all(0)
    first, second = both[:, known].astype(np.float64)
    reach = 1.05 * float(np.quantile(np.abs([first, second]), SHOWN)) or 1.0
    density_scatter(first, second, ax, (-reach, reach))
    units = recovery["connectivity"]
    ax.set_xlabel(labelled("$W_{ij}$, first half", units))
    ax.set_ylabel(labelled("$W_{ij}$, second half", units))
    lines = [f"r = {material.metric('halves', 'correlation'):.3f}"]
    called = _found(material, "halves", "correlation_connected")
    if called is not None:
        lines.append(f"called: r = {called:.3f}")
    annotate(ax, "\n".join(lines))
    ax.set_title("W of the two halves")
    return ax


def diagnosis(material: AssemblyMaterial, ax: Axes) -> Axes:
    """What the recording can tell of W: one sentence, and the numbers it rests on."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    verdict, rows = _verdict(material), list(_numbers(material))
    width, height = width_of(ax), height_of(ax)
    size = material.style.font_size
    lines = _laid_out(verdict, rows, size, width)
    while size > SMALLEST and -lines[-1].y + LINE * size > height:
        size -= 0.25
        lines = _laid_out(verdict, rows, size, width)
    for line in lines:
        where = {"transform": ax.transAxes, "va": "top", "fontsize": size}
        ax.text(line.x / width, 1 + line.y / height, line.text, **where, **line.look)
    ax.set_title("what these data tell")
    return ax


@dataclass(frozen=True)
class _Line:
    """A line of text below the upper left corner [pt]."""

    text: str
    x: float
    y: float
    look: Mapping[str, Any]


def _laid_out(
    verdict: str, rows: Sequence[tuple[str, str]], size: float, width: float
) -> list[_Line]:
    """The verdict, then names and values side by side, at a size of the text [pt]."""
    lines, y = [], 0.0
    for text in _wrapped(verdict, size * BOLD, width):
        lines.append(_Line(text, 0.0, y, {"weight": "bold"}))
        y -= LINE * size
    indent = max(text_width(name, size) for name, _ in rows) + 2 * size
    for name, value in rows:
        y -= 0.15 * size
        lines.append(_Line(name, 0.0, y, {"color": "0.35"}))
        for text in _wrapped(value, size, width - indent):
            lines.append(_Line(text, indent, y, {}))
            y -= LINE * size
    return lines


def _wrapped(text: str, size: float, width: float) -> list[str]:
    """Lines of a text of this size that are no wider [pt]; a longer word has its own line."""
    lines: list[str] = []
    for word in text.split(" "):  # a number stays with its unit
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _verdict(material: AssemblyMaterial) -> str:
    """What the data identify, in one or two sentences."""
    about = material.history.attrs
    if "identified" not in about:
        return (
            "The recording is too short to say how well W is known: it has fewer training frames "
            "than its rows have weights to find."
        )
    expected = _r2(about["at_most"])
    if about["identified"] == "yes":
        return f"These data identify W: expect an R² of {expected}."
    if about["identified"] == "unknown":
        return (
            "It is unknown whether these data identify W: activity hardly changes in the held-out "
            "frames, so nothing confirms what was found."
        )
    directions, of = about["directions"], about["n_neurons"] - 1
    return (
        f"These data do not identify W: expect an R² of {expected}. They identify "
        f"{directions:.0f} of the {of} directions of a row (sums of weights, not single ones)"
        f"{_and_forecasts(material)}."
    )


def _and_forecasts(material: AssemblyMaterial) -> str:
    """The times for which the model forecasts better than every baseline, if there are any."""
    rollout = material.rollout
    if "forecast_error" not in rollout:
        return ""
    better = np.all([_clearly_better(rollout, name) for name in LOOKS], axis=0)
    first, last = _longest(better)
    if last - first <= first:  # none at all, or so few among many that chance may do it
        return "; at no time ahead is the model clearly better than all baselines"
    unit, of_time = material.time_unit(rollout)
    begin, end = (f"{unit * float(rollout['lead'][k]):.3g}" for k in (first, last - 1))
    ahead = f"from {begin} to {end}" if first else f"up to {end}"
    return f", and activity {ahead} {pretty(of_time)} ahead, better than all baselines"


def _longest(true: Bool[np.ndarray, " lead"]) -> tuple[int, int]:
    """Begin and end of the longest run of trues; twice the same number if there is none."""
    edges = np.flatnonzero(np.diff(true, prepend=False, append=False))
    runs = [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return max(runs, key=lambda run: run[1] - run[0], default=(0, 0))


def _clearly_better(rollout: xr.Dataset, name: str) -> Bool[np.ndarray, " lead"]:
    """Leads at which the model misses less than a baseline, beyond chance among the starts.

    The difference must exceed two standard errors; of few starts, a twentieth of the error.
    """
    model, other = (rollout["forecast_error"].sel(predictor=n).values for n in ("model", name))
    difference = other - model
    n = len(difference)
    if n < FEW_STARTS:
        return difference.mean(0) > MARGIN * other.mean(0)
    return difference.mean(0) > 2 * difference.std(0, ddof=1) / np.sqrt(n)


def _numbers(material: AssemblyMaterial) -> Iterator[tuple[str, str]]:
    """Names and values of what the verdict rests on, as far as it is known."""
    about, recovery = material.history.attrs, material.recovery
    n = recovery.sizes["neuron"]
    if "n_frames" in about:
        yield from _of_training(about, recovery)
    if "connected" in recovery:
        called, level = recovery["connected"], recovery["connected"].attrs["false_discovery"]
        count = f"{int((called.values != 0).sum()):,} of {n * (n - 1):,}"
        yield "connections called", f"{count}, false discoveries ≤ {100 * level:g} %"
    agreed = _found(material, "halves", "correlation")
    if agreed is not None:
        yield "W of the two halves", f"r = {agreed:.3f}"
    yield "types", _types(recovery)
    steps = [_found(material, "prediction", f"r2_{name}") for name in NAMES]
    if None not in steps:
        missed = {name: 1 - r2 for name, r2 in zip(NAMES, steps, strict=True) if r2 is not None}
        best = min(LOOKS, key=missed.__getitem__)
        yield (
            "one frame ahead",
            f"error {_percent(missed['model'])} of the variance; best baseline "
            f"({NAMES[best]}) {_percent(missed[best])}",
        )


def _of_training(about: Mapping[str, Any], recovery: xr.Dataset) -> Iterator[tuple[str, str]]:
    """What the diagnosis of the training says."""
    stretches = int(about.get("stretches", 1))
    parts = f" in {stretches:,} stretches" if stretches > 1 else ""
    yield (
        "recording",
        f"{about['n_frames']:,} training frames{parts}, {recovery.sizes['neuron']:,} neurons",
    )
    yield "directions excited", f"{about['directions']:.0f} of {about['n_neurons'] - 1}"
    yield "noise in W", f"{_percent(about['noise_share'])} of its variance"
    explained = max(0.0, 1 - about["held_out"])
    yield "held-out rates", f"{_percent(explained)} explained by phi, psi and W"
    if about.get("sender_noise"):
        yield "measurement noise", f"{_percent(about['sender_noise'])} of what neurons send"
    if about.get("shared_noise"):
        yield (
            "noise of state and rate",
            f"{about['shared_noise']:.2g} per τ in common, taken out",
        )
    if "unobserved_bias" in recovery:
        yield "not recorded", _unobserved(about)
    elif not about.get("exact", True):
        yield "not recorded", "whether other neurons make weights wrong was not looked at"


def _unobserved(about: Mapping[str, Any]) -> str:
    """What residuals tell of neurons that were not recorded."""
    rank = int(about["unobserved_rank"])
    if not rank:
        return "residuals of neurons are independent"
    common = f"residuals have {rank} direction{'s' if rank > 1 else ''} in common"
    return f"{common}; weights may be wrong by {_percent(about['unobserved_bias'])} of their size"


def _percent(share: float) -> str:
    """A share with three digits; of a model that runs away it says no more than that."""
    if share > FAR:
        return f"more than {100 * FAR:,.0f}\N{NO-BREAK SPACE}%"
    return f"{float(f'{100 * share:.3g}'):.6g}\N{NO-BREAK SPACE}%"


def _r2(value: float) -> str:
    """An R2, with as many digits as tell it from 1."""
    if value > 0.9995:
        return "more than 0.999"
    return f"about {value:.{3 if value > 0.99 else 2}f}"


def _types(recovery: xr.Dataset) -> str:
    n, told = recovery.attrs["n_types"], recovery.attrs.get("types_told", "yes")
    if told != "yes":
        return f"unknown: {n} group{'s' if n > 1 else ''} by phi, maybe not types"
    return f"{n} found by phi" if n > 1 else "one: all neurons are alike"


def _found(material: AssemblyMaterial, quantity: str, metric: str) -> float | None:
    """A number of metrics.csv; None if there is none."""
    table = material.metrics
    rows = table[(table["quantity"] == quantity) & (table["metric"] == metric)]
    value = float("nan") if rows.empty else float(rows["value"].iloc[0])
    return None if np.isnan(value) else value
