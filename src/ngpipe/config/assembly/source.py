"""Source of the activity of an experiment: a simulation, or a recording of your own."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from ngpipe.config.assembly.observation import Observation
from ngpipe.config.base import Positive, Seconds, Section, unit

Label = Annotated[str, Field(coerce_numbers_to_str=True)]
Rate = Annotated[float, Field(gt=0, json_schema_extra=unit("Hz"))]


class Simulated(Section):
    """Activity of the assembly that the section `simulation` describes."""

    kind: Literal["simulated"] = Field("simulated", description="Selects a simulation.")


class Recorded(Section):
    """Activity recorded in one or more files; the stage `import` reads them."""

    kind: Literal["recording"] = Field("recording", description="Selects a recording.")
    files: tuple[str, ...] = Field(
        min_length=1,
        description="Files or directories with the activity, each a session of its own; neurons "
        "with the same label are the same neuron.",
    )
    series: str | None = Field(
        None,
        description="Name of the activity inside the file, as `ngpipe inspect` lists it. Null: "
        "the only one that there is.",
    )
    axes: Literal["time_neuron", "neuron_time"] | None = Field(
        None, description="Order of the axes, where the file does not say it."
    )
    rate: Rate | None = Field(None, description="Frames per second, where the file has no times.")
    time: str | None = Field(
        None, description="Name of the variable or column with the time of each frame."
    )
    time_unit: Literal["s", "ms", "us", "min"] = Field(
        "s", description="Unit of the times in the file, where it does not say it."
    )
    jitter: Positive = Field(
        0.05,
        description="Fraction of the frame interval by which a time may be off; a longer interval "
        "counts as a gap.",
    )
    units: str | None = Field(
        None, description="Unit of the activity, such as dF/F, where the file does not say it."
    )
    labels: str | None = Field(
        None, description="Name of the variable or column that names the neurons. Null: as found."
    )
    segment: str | None = Field(
        None, description="Name of the variable or column with the trial of each frame."
    )
    drop: tuple[Label, ...] = Field(
        (), description="Neurons to leave out, by label (by number, if they have none)."
    )
    tau: Seconds = Field(1.0, description="Unit of time of the model: times are divided by it.")
    observation: Observation | None = Field(
        None,
        description="Signal chain: dF/F, indicator, measurement noise, rate of change. Null: the "
        "signal is used as it is, and taken to be free of measurement noise.",
    )
    truth: str | None = Field(
        None,
        description="A zarr store with true `connectivity` and `neuron_type`, if they are known; "
        "only scores and panels read it.",
    )

    @field_validator("files", "drop")
    @classmethod
    def _once(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        twice = [v for v in dict.fromkeys(values) if values.count(v) > 1]
        if twice:
            raise ValueError(f"{twice} stand here more than once; name each once")
        return values


Source = Annotated[Simulated | Recorded, Field(discriminator="kind")]
