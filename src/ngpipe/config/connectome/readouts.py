"""What is followed of the activity, and how it is explained: sections `readouts` to `control`."""

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
    """What of the input, which groups and which connections a response rests on."""

    steps: Count = Field(32, description="Points on the way from no input to the stimulus.")
    silence: tuple[str, ...] = Field(
        (), description="Groups silenced one by one. Empty: all that are not sensors."
    )


class Paths(Section):
    """Which connections between groups carried the activity."""

    activity: Weight = Field(
        0.02, description="Mean activity of a group below which it carries nothing."
    )
    weight: Weight = Field(0.01, description="Weight between groups below which it is left out.")
    strongest: Count = Field(3, description="Connections kept a receiving group and layer.")


class Control(Section):
    """The same stimuli through connectomes that keep only some of the real one's properties."""

    model: NullName = Field(
        "degree_and_sign",
        description="The null, see the list below: each keeps something and draws the rest.",
    )
    draws: Annotated[int, Field(ge=0, json_schema_extra=unit("1"))] = Field(
        39,
        description="Connectomes drawn; 0: none. With fewer than 39 no p-value can be 0.05 or "
        "less.",
    )
    redo: bool = Field(
        True,
        description="Fit and search anew in every null, as in the connectome. Otherwise they get "
        "the parameters and stimuli made for the connectome, which then looks special for that.",
    )
    certainty: Fraction = Field(
        0.9, description="Probability that a known sign is right, for `signs`."
    )
    sweeps: Count | None = Field(
        None,
        description="Sweeps of exchanges where receivers are drawn anew. Null: 10 to 80, as many "
        "as the overlap with the connectome falls.",
    )
    seed: Seed = Field(0, description="Seed of the draws.")


class Readout(Section):
    """A response that is followed: its value is attributed, silenced and compared with nulls."""

    stimulus: Name = Field(description="Which stimulus.")
    groups: Groups = Field(description="Whose activity, averaged over all neurons of them.")
    columns: Columns | None = Field(None, description=f"{NEAR} Null: all.")
    layers: Steps | None = Field(None, description="Layers whose mean counts. Null: all.")
