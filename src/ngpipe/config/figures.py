"""Figures, their panels and the experiments they show: config/config.yaml."""

from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from ngpipe.config.base import OBSERVED, Count, Groups, Name, Positive, Section, Step, unit
from ngpipe.config.panels import panel_kinds
from ngpipe.config.sweep import ExperimentName

Frame = Annotated[int, Field(ge=0, json_schema_extra=unit("frames"))]

KINDS = panel_kinds()
"""All panel kinds by name."""
if TYPE_CHECKING:
    Kind = str
else:
    Kind = Literal[tuple(KINDS)]
COLUMNS = 3
"""Columns of a page without a mosaic."""


def _for(option: str) -> str:
    """The kinds of panel that need an option or heed it."""
    kinds = (name for name, kind in KINDS.items() if option in (*kind.needs, *kind.takes))
    return ", ".join(f"`{name}`" for name in kinds)


class Style(Section):
    """Style of all panels."""

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

    kind: Kind = Field(description="Kind of panel; the kinds are listed below.")
    of: ExperimentName = Field(
        description="Name of the experiment to show: `config/experiments/<of>.yaml`, or a point "
        "of its sweep, `<experiment>~<section.key>=<value>`."
    )
    title: str | None = Field(
        None,
        description="Title of the panel; {} stands for the default title of its kind. Null: the "
        "default title.",
    )
    frame: Frame | None = Field(
        None,
        description=f"Frame, for {_for('frame')}: counted from the start of the rollout if it is "
        "required, else in the recording (null: 0).",
    )
    at: Annotated[tuple[Frame, ...], Field(min_length=1)] | None = Field(
        None,
        description=f"Frames shown, for {_for('at')}. Null: frame 0 for activity, five frames "
        "spread evenly over the recording for an input.",
    )
    frames: Count | None = Field(
        None,
        description=f"Frames shown, for {_for('frames')}.",
        json_schema_extra=unit("frames"),
    )
    neurons: Count | None = Field(None, description=f"Neurons shown, for {_for('neurons')}.")
    reach: Positive | None = Field(
        None,
        description=f"Largest activity shown, for {_for('reach')}. Null: that of a typical neuron, "
        "and for one psi at most 12.",
    )
    stimulus: Name | None = Field(None, description=f"Stimulus to show, for {_for('stimulus')}.")
    readout: Name | None = Field(None, description=f"Readout to show, for {_for('readout')}.")
    groups: Groups | None = Field(
        None,
        description=f"Groups shown, in this order, for {_for('groups')}; for paths, the groups at "
        "which they end. Null: the `top` largest, most active or most affected.",
    )
    layer: Step | None = Field(
        None,
        description="For `stimulus` and `attribution`, the step of the input to show; for "
        "`response_columns` and `response_map`, the layer of the network, which is at step `layer` "
        "+ 1. Null: all steps over time, or the last layer on a lattice. For `paths`, the layer at "
        "which they end. Null: 3.",
    )
    top: Count = Field(
        12,
        description="Largest number of rows, bars or nodes of a layer, if `groups` does not "
        "name them.",
    )
    conditions: Annotated[tuple[Name, ...], Field(min_length=1)] | None = Field(
        None,
        description=f"Conditions shown, in this order, for {_for('conditions')}. Null: the "
        "default of the kind, or all.",
    )
    parameter: str | None = Field(
        None,
        description=f"Key of the experiment's `sweep` on the x axis, for {_for('parameter')}.",
    )
    quantity: str | None = Field(
        None, description=f"Quantity of metrics.csv, for {_for('quantity')}."
    )
    metric: str | None = Field(None, description=f"Metric of it, for {_for('metric')}.")
    size: tuple[Positive, Positive] | None = Field(
        None,
        description="Width and height of the panel on its own. Null: those of the style.",
        json_schema_extra=unit("inch"),
    )

    @model_validator(mode="after")
    def _options_given(self) -> "Panel":
        for key in KINDS[self.kind].needs:
            if getattr(self, key) is None:
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
        """Number of columns of this width [inch] that the panel spans without a mosaic."""
        if self.size is None:
            return KINDS[self.kind].columns
        return min(COLUMNS, max(1, round(self.size[0] / width)))


class Figure(Section):
    """One figure: named panels and how the composed page lays them out."""

    panels: dict[Name, Panel] = Field(
        min_length=1, description="The panels by name; each also becomes `<name>.svg` and `.png`."
    )
    about: str | None = Field(
        None,
        description="A sentence on content and cost, for `ngpipe figures` and the report. "
        "Changing it remakes nothing.",
    )
    mosaic: tuple[tuple[str, ...], ...] | None = Field(
        None,
        description="Rows of panel names. Names share the width of their row equally; a repeated "
        'name makes a wider panel, and "." is an empty place. Null: three columns, of which wide '
        "panels span two or three.",
    )
    width: Positive = Field(
        7.2, description="Width of the composed figure.", json_schema_extra=unit("inch")
    )
    row_height: Positive = Field(
        2.1, description="Height of one row.", json_schema_extra=unit("inch")
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
        return [name for name, panel in self.panels.items() if KINDS[panel.kind].movie]

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
        """Filling of a row: a wide last panel grows, after others places stay empty."""
        wide = self.panels[last].columns(self.width / COLUMNS) > 1
        return [last if wide else "."]


class Figures(Section):
    """config/config.yaml."""

    figures: dict[Name, Figure] = Field(description="The figures by name: `results/<name>/`.")
    style: Style = Field(Style(), description="Style of all panels.")
    without_target: Literal["all", "list"] = Field(
        "all",
        description="Action of `snakemake` without a target: make all figures, or list them with "
        "content and cost.",
    )
    tensorboard: bool = Field(
        False,
        description="Also write the losses of training as TensorBoard events, into "
        "`logs/<experiment>/tensorboard/`.",
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
