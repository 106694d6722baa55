"""Which figure is made of which panels of which experiments: config/config.yaml."""

from collections.abc import Mapping
from itertools import groupby
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ngpipe.config.base import Count, Groups, Name, Positive, Section, Step, unit
from ngpipe.config.circuit import OBSERVED
from ngpipe.config.sweep import ExperimentName

Frame = Annotated[int, Field(ge=0, json_schema_extra=unit("frames"))]

ASSEMBLY_PANELS = {
    "activity": "activity of some neurons, offset",
    "true_connectivity": "true W, with its first 20 x 20 entries enlarged",
    "learned_connectivity": "learned W, on the colour scale of the true one",
    "connectivity_scatter": "learned against true W, as a density, with R2 and slope",
    "calibration": "share of the true W inside its intervals against their nominal share; inset: "
    "z = (learned - true) / standard error over the standard normal distribution; with false "
    "discoveries and power where some true W are zero",
    "latents": "latent vectors a_i, coloured by true type",
    "phi": "phi*(a_i, x) of all neurons over the true functions",
    "psi": "psi* over the true function; of all neurons or pairs of types, coloured by true type, "
    "where it depends on them",
    "learning_curve": "R2 of W and held-out loss during training",
    "rollout": "predicted over held-out activity of some neurons",
    "rollout_scatter": "predicted against held-out activity, all neurons, at one frame",
    "input_map": "true Omega of all neurons at their positions, at one frame",
    "activity_map": "activity of all neurons at their positions, at some frames",
    "input_scatter": "learned against true Omega of the driven neurons, as a density, with R2 and "
    "slope of Omega and of its square root",
    "true_input": "the true field Omega(x, y, t) of the driven neurons at some frames",
    "learned_input": "the learned field at the sampled frames nearest to them, on the colour scale "
    "of the true one",
    "input_movie": "true and learned field side by side at one frame, and <name>.gif, a movie of "
    "all",
}
CONNECTOME_PANELS = {
    "type_weights": "what a neuron of each group receives from all of each other group",
    "fit_scatter": "fitted against given responses, stimuli trained on and held out told apart",
    "stimulus": "input of the sensors: of each group over time, or at one step on the hexagonal "
    "lattice (`layer`)",
    "responses": "mean activity of each group over time to one stimulus",
    "response_columns": "activity of groups along the columns of the lattice, at one step",
    "response_map": "activity of some groups on the hexagonal lattice, at one step",
    "attribution": "what each sensor adds to a readout: by group over time, or on the lattice",
    "paths": "the active paths between groups, layer by layer, excitation and inhibition told "
    "apart",
    "silencing": "what a readout loses when each group is silenced",
    "control": "readouts of the connectome and of null connectomes",
}
CIRCUIT_PANELS = {
    "circuit_matrix": "W of one condition (`observed`), of the first seed: excitatory neurons "
    "first, and where the connectome is from",
    "weight_distribution": "sizes of the measured weights and of the random ones, as densities",
    "impulse_response": "activity of the first seed over time: means and single neurons, with the "
    "time to baseline; of `observed` and the first other condition",
    "response_times": "times to baseline of all seeds and conditions, with mean-field prediction, "
    "difference from `observed` and p; runs without a time apart",
    "spectra": "eigenvalues of W of the first seed, conditions together, with the limit beyond "
    "which activity grows",
    "response_sweep": "times to baseline against a swept parameter, conditions together, with "
    "mean-field prediction; runs without a time apart",
    "effects": "differences of time to baseline, `observed` - condition, of all seeds, with effect "
    "size and number of pairs",
    "motif_scores": "z of pairs of connections and of triads against each null of `motifs`",
    "mixing": "what is left of the connectome against sweeps of the nulls that exchange partners",
}
OF_SYSTEM: Mapping[str, Mapping[str, str]] = {
    "assembly": ASSEMBLY_PANELS,
    "connectome": CONNECTOME_PANELS,
    "circuit": CIRCUIT_PANELS,
}
"""Panel kinds of each system."""
SWEEP: Literal["sweep"] = "sweep"
"""The kind of panel that shows experiments of any system whose points are experiments too."""
POINT_PANELS = {
    SWEEP: "a metric at every value of one swept key, with the published value; of systems "
    "assembly and connectome",
}
PANELS = {kind: text for kinds in OF_SYSTEM.values() for kind, text in kinds.items()} | POINT_PANELS
"""What can be drawn: the panel kinds."""

Kind = Literal[tuple(PANELS)]
MOVIE: Kind = "input_movie"
"""The kind of panel that also becomes a movie."""
READOUTS = ("attribution", "silencing")
"""Kinds of panel that show one readout."""
STIMULI = ("stimulus", "responses", "response_columns", "response_map", "paths")
"""Kinds of panel that show one stimulus and the activity it causes."""
CONDITIONS = (
    *("circuit_matrix", "impulse_response", "response_times", "spectra", "response_sweep"),
    "effects",
)
"""Kinds of panel that show some conditions of a circuit."""
SWEEPS = ("response_sweep", SWEEP)
"""Kinds of panel that show one swept parameter."""
COLUMNS = 3
"""Columns of a page without a mosaic."""
WIDE: Mapping[str, int] = {
    **dict.fromkeys(("true_input", "learned_input", "paths"), 3),
    **dict.fromkeys(("impulse_response", "response_times", "effects", "motif_scores"), 2),
    "response_map": 2,
}
"""Columns that kinds of panel take there; others take one."""


def _listed(kinds: tuple[str, ...]) -> str:
    return ", ".join(f"`{kind}`" for kind in kinds)


def system_of(kind: Kind) -> str:
    """The system whose experiments a kind of panel can show."""
    return next(system for system, kinds in OF_SYSTEM.items() if kind in kinds)


class Style(Section):
    """How every panel looks."""

    font_size: Positive = Field(8.0, description="Text size.", json_schema_extra=unit("pt"))
    dpi: Count = Field(
        200,
        description="Resolution of png files and of rasterised parts.",
        json_schema_extra=unit("1/inch"),
    )
    panel_width: Positive = Field(
        2.9, description="Width of one panel on its own.", json_schema_extra=unit("inch")
    )
    panel_height: Positive = Field(
        2.6, description="Height of one panel on its own.", json_schema_extra=unit("inch")
    )
    truth_color: str = Field("0.75", description="Colour of true curves and traces.")
    learned_color: str = Field("#c1272d", description="Colour of learned curves.")
    type_colormap: str = Field("tab10", description="Matplotlib colormap of the neuron types.")
    weight_colormap: str = Field("bwr", description="Matplotlib colormap of W.")
    activity_colormap: str = Field(
        "viridis", description="Matplotlib colormap of traces and maps of neurons."
    )


class Panel(Section):
    """One panel of a figure."""

    kind: Kind = Field(description="What is drawn; the kinds are listed below.")
    of: ExperimentName = Field(
        description="The experiment it is drawn from: config/experiments/<of>.yaml, or a point of "
        "its sweep, `<experiment>~<section.key>=<value>`."
    )
    title: str | None = Field(
        None,
        description="Title over the panel; {} in it stands for that of its kind. Null: the latter.",
    )
    frame: Frame | None = Field(
        None,
        description="Frame after the start, for `rollout_scatter`; frame of the recording, for "
        "`input_map` and `input_movie` (null: 0).",
    )
    at: Annotated[tuple[Frame, ...], Field(min_length=1)] | None = Field(
        None,
        description="Frames shown, for `activity_map` (null: 0), `true_input` and `learned_input` "
        "(null: five, evenly spread over the recording).",
    )
    frames: Count | None = Field(
        None,
        description="Frames shown, for `activity` and `rollout`.",
        json_schema_extra=unit("frames"),
    )
    neurons: Count | None = Field(
        None, description="Neurons shown, for `activity`, `rollout` and `impulse_response`."
    )
    reach: Positive | None = Field(
        None,
        description="Largest activity shown, for `phi` and `psi`. Null: what a typical neuron "
        "visits, and for one psi at most 12.",
    )
    stimulus: Name | None = Field(None, description=f"Which stimulus, for {_listed(STIMULI)}.")
    readout: Name | None = Field(None, description=f"Which readout, for {_listed(READOUTS)}.")
    groups: Groups | None = Field(
        None,
        description="Groups shown, in this order, for `type_weights`, `stimulus`, `responses`, "
        "`response_columns`, `response_map`, `attribution` and `silencing`; for `paths`, where "
        "they lead. Null: the `top` largest, most active or most affected.",
    )
    layer: Step | None = Field(
        None,
        description="For `stimulus` and `attribution`, the step of the input that is shown; for "
        "`response_columns` and `response_map`, the layer of the network, which is at step "
        "`layer` + 1. Null: all steps over time, or the last layer where a lattice is drawn. For "
        "`paths`, the layer that they lead to. Null: 3.",
    )
    top: Count = Field(
        12, description="Most rows, bars or nodes of a layer, where not all groups are named."
    )
    conditions: Annotated[tuple[Name, ...], Field(min_length=1)] | None = Field(
        None,
        description=f"Conditions shown, in this order, for {_listed(CONDITIONS)}. Null: those that "
        "the kind names, or all.",
    )
    parameter: str | None = Field(
        None,
        description=f"Key of the experiment's `sweep` that is across, for {_listed(SWEEPS)}.",
    )
    quantity: str | None = Field(None, description="Quantity of metrics.csv, for `sweep`.")
    metric: str | None = Field(None, description="Metric of it, for `sweep`.")
    size: tuple[Positive, Positive] | None = Field(
        None,
        description="Width and height of the panel on its own. Null: those of the style.",
        json_schema_extra=unit("inch"),
    )

    @model_validator(mode="after")
    def _frame_given(self) -> "Panel":
        if self.kind == "rollout_scatter" and self.frame is None:
            raise ValueError("a rollout_scatter panel needs `frame`")
        needed = {"stimulus": STIMULI, "readout": READOUTS, "parameter": SWEEPS}
        needed |= dict.fromkeys(("quantity", "metric"), (SWEEP,))
        for key, kinds in needed.items():
            if self.kind in kinds and getattr(self, key) is None:
                raise ValueError(f"a {self.kind} panel needs `{key}`")
        return self

    @model_validator(mode="after")
    def _conditions_fit(self) -> "Panel":
        shown = self.conditions or ()
        if len(set(shown)) < len(shown):
            raise ValueError(f"conditions {list(shown)} names one twice; name each once")
        if self.kind == "circuit_matrix" and len(shown) > 1:
            raise ValueError(f"a circuit_matrix panel shows one condition, got {list(shown)}")
        if self.kind == "effects" and OBSERVED in shown:
            raise ValueError(
                f"an effects panel compares `{OBSERVED}` with its conditions; leave it out of them"
            )
        return self

    def columns(self, width: float) -> int:
        """How many columns of this width [inch] a page without a mosaic gives to the panel."""
        if self.size is None:
            return WIDE.get(self.kind, 1)
        return min(COLUMNS, max(1, round(self.size[0] / width)))


class Figure(Section):
    """One figure: named panels and how the composed page lays them out."""

    panels: dict[Name, Panel] = Field(
        min_length=1, description="The panels by name; each also becomes <name>.svg and .png."
    )
    about: str | None = Field(
        None,
        description="A sentence on what it shows and what it costs, for `ngpipe figures` and the "
        "report; nothing is made again when it changes.",
    )
    mosaic: tuple[tuple[str, ...], ...] | None = Field(
        None,
        description="Rows of panel names, which share the width of their row equally; a name "
        'repeated in its row is wider, and "." is an empty place. Null: rows of three columns, '
        "of which wide panels take two or three.",
    )
    width: Positive = Field(
        7.2, description="Width of the composed figure.", json_schema_extra=unit("inch")
    )
    row_height: Positive = Field(
        2.1, description="Height of a row of it.", json_schema_extra=unit("inch")
    )

    row_heights: tuple[Positive, ...] | None = Field(
        None, description="Height of every row, relative to `row_height`. Null: all 1."
    )

    @model_validator(mode="after")
    def _heights_match(self) -> "Figure":
        rows = len(self.layout())
        if self.row_heights is not None and len(self.row_heights) != rows:
            raise ValueError(f"row_heights has {len(self.row_heights)} entries for {rows} rows")
        return self

    @model_validator(mode="after")
    def _mosaic_matches(self) -> "Figure":
        if self.mosaic is None:
            return self
        places = [name for row in self.mosaic for name, _ in groupby(row) if name != "."]
        placed = set(places)
        if len(places) != len(placed):
            raise ValueError(
                "mosaic names a panel in more than one place; a wide panel takes neighbouring "
                "places of one row"
            )
        if placed != set(self.panels):
            raise ValueError(
                f"mosaic places {sorted(placed - set(self.panels))} that are no panels and leaves "
                f"out {sorted(set(self.panels) - placed)}"
            )
        return self

    def movies(self) -> list[str]:
        """Names of the panels that are movies too."""
        return [name for name, panel in self.panels.items() if panel.kind == MOVIE]

    def layout(self) -> list[list[str]]:
        """Rows of panel names; "." marks an empty place."""
        if self.mosaic is not None:
            return [list(row) for row in self.mosaic]
        rows: list[list[str]] = [[]]
        for name, panel in self.panels.items():
            columns = panel.columns(self.width / COLUMNS)
            if len(rows[-1]) + columns > COLUMNS:
                rows.append([])
            rows[-1] += columns * [name]
        widest = max(map(len, rows))
        return [row + self._rest(row[-1]) * (widest - len(row)) for row in rows]

    def _rest(self, last: str) -> list[str]:
        """What fills a row: a wide panel at its end grows, after another places stay empty."""
        wide = self.panels[last].columns(self.width / COLUMNS) > 1
        return [last if wide else "."]


class Figures(Section):
    """config/config.yaml."""

    figures: dict[Name, Figure] = Field(description="The figures by name: results/<name>/.")
    style: Style = Field(Style(), description="How every panel looks.")
    without_target: Literal["all", "list"] = Field(
        "all",
        description="What `snakemake` does when no target is named: make all figures, or list them "
        "with what they show and cost.",
    )
    tensorboard: bool = Field(
        False,
        description="Whether training also writes its losses as TensorBoard events, into "
        "logs/<experiment>/tensorboard/.",
    )

    @model_validator(mode="after")
    def _names_are_free(self) -> "Figures":
        taken = [f"figures.{name}" for name in self.figures if name in ("panels", "runs", "sweeps")]
        taken += [f"figures.{n}.panels.{n}" for n, f in self.figures.items() if n in f.panels]
        if taken:
            raise ValueError(
                f"{', '.join(taken)}: the name is taken, as results/runs, results/panels, "
                "results/sweeps and results/<name>/<name>.svg are made for all figures; choose "
                "another"
            )
        return self
