"""Sections `readouts`, `attribution`, `paths` and `control`: responses and their explanation."""

from typing import Annotated

from pydantic import Field

from ngpipe.config.base import (
    NEAR,
    Columns,
    Count,
    Fraction,
    Groups,
    Name,
    Section,
    Seed,
    Steps,
    Weight,
    unit,
)
from ngpipe.config.nulls import NullName


class Attribution(Section):
    """Contribution of inputs, groups and connections to a response."""

    steps: Count = Field(
        32, description="Number of points on the path from no input to the stimulus."
    )
    silence: tuple[str, ...] = Field(
        (), description="Groups to silence, one at a time. Empty: all groups without sensors."
    )


class Paths(Section):
    """Active paths between groups."""

    activity: Weight = Field(
        0.02, description="Mean activity below which a group counts as inactive."
    )
    weight: Weight = Field(
        0.01, description="Weight between groups below which a connection is left out."
    )
    strongest: Count = Field(3, description="Connections kept per receiving group and layer.")


class Control(Section):
    """The same stimuli in null connectomes, which keep only some properties of the real one."""

    model: NullName = Field(
        "degree_and_sign",
        description="Kind of null; the list below says what each keeps and draws anew.",
    )
    draws: Annotated[int, Field(ge=0, json_schema_extra=unit("1"))] = Field(
        39,
        description="Number of null connectomes; 0: none. With fewer than 39 no p-value can be "
        "0.05 or less.",
    )
    redo: bool = Field(
        True,
        description="Repeat fit and search in every null. Otherwise nulls get the parameters and "
        "stimuli made for the connectome, which makes the connectome look special.",
    )
    certainty: Fraction = Field(
        0.9, description="Probability that a known sign is right, for `signs`."
    )
    sweeps: Count | None = Field(
        None,
        description="Sweeps of exchanges for nulls that draw receivers anew. Null: 10 to 80, as "
        "long as more sweeps lower the overlap with the connectome.",
    )
    seed: Seed = Field(0, description="Seed of the draws.")


class Readout(Section):
    """A response to analyse: it is attributed, tested by silencing and compared with nulls."""

    stimulus: Name = Field(description="Name of the stimulus.")
    groups: Groups = Field(description="Groups whose activity is averaged, over all their neurons.")
    columns: Columns | None = Field(None, description=f"{NEAR} Null: all.")
    layers: Steps | None = Field(None, description="Layers to average over. Null: all.")
