"""Which figure is made of which panels of which experiments: config/config.yaml."""

from itertools import groupby
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from ngpipe.config.base import Count, Positive, Section, unit

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]

PANELS = {
    "activity": "activity of some neurons, offset",
    "true_connectivity": "true W, with its first 20 x 20 entries enlarged",
    "learned_connectivity": "learned W, on the colour scale of the true one",
    "connectivity_scatter": "learned against true W, as a density, with R2 and slope",
    "latents": "latent vectors a_i, coloured by true type",
    "phi": "phi*(a_i, x) of all neurons over the true functions",
    "psi": "psi*(x) over the true function",
    "learning_curve": "R2 of W and held-out loss during training",
    "rollout": "predicted over held-out activity of some neurons",
    "rollout_scatter": "predicted against held-out activity, all neurons, at one frame",
}
"""What can be drawn: the panel kinds."""

Kind = Literal[tuple(PANELS)]


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
    activity_colormap: str = Field("viridis", description="Matplotlib colormap of traces.")


class Panel(Section):
    """One panel of a figure."""

    kind: Kind = Field(description="What is drawn; the kinds are listed below.")
    of: Name = Field(description="The experiment it is drawn from: config/experiments/<of>.yaml.")
    title: str | None = Field(None, description="Title over the panel; null: that of its kind.")
    frame: Count | None = Field(
        None,
        description="Frame after the start, for `rollout_scatter`.",
        json_schema_extra=unit("frames"),
    )
    frames: Count | None = Field(
        None,
        description="Frames shown, for `activity` and `rollout`.",
        json_schema_extra=unit("frames"),
    )
    neurons: Count | None = Field(None, description="Neurons shown, for `activity` and `rollout`.")

    @model_validator(mode="after")
    def _frame_given(self) -> "Panel":
        if self.kind == "rollout_scatter" and self.frame is None:
            raise ValueError("a rollout_scatter panel needs `frame`")
        return self


class Figure(Section):
    """One figure: named panels and how the composed page lays them out."""

    panels: dict[Name, Panel] = Field(
        min_length=1, description="The panels by name; each also becomes <name>.svg and .png."
    )
    mosaic: tuple[tuple[str, ...], ...] | None = Field(
        None,
        description="Rows of panel names, which share the width of their row equally; a name "
        'repeated in its row is wider, and "." is an empty place. Null: three panels a row.',
    )
    width: Positive = Field(
        7.2, description="Width of the composed figure.", json_schema_extra=unit("inch")
    )
    row_height: Positive = Field(
        2.1, description="Height of a row of it.", json_schema_extra=unit("inch")
    )

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

    def layout(self) -> list[list[str]]:
        """Rows of panel names; "." marks an empty place."""
        if self.mosaic is not None:
            return [list(row) for row in self.mosaic]
        names = list(self.panels)
        columns = min(3, len(names))
        names += ["."] * (-len(names) % columns)
        return [names[k : k + columns] for k in range(0, len(names), columns)]


class Figures(Section):
    """config/config.yaml."""

    figures: dict[Name, Figure] = Field(description="The figures by name: results/<name>/.")
    style: Style = Field(Style(), description="How every panel looks.")

    @model_validator(mode="after")
    def _names_are_free(self) -> "Figures":
        taken = [f"figures.{name}" for name in self.figures if name in ("panels", "runs")]
        taken += [f"figures.{n}.panels.{n}" for n, f in self.figures.items() if n in f.panels]
        if taken:
            raise ValueError(
                f"{', '.join(taken)}: the name is taken, as results/runs, results/panels and "
                "results/<name>/<name>.svg are made for all figures; choose another"
            )
        return self
