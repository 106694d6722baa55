"""Source of the activity of an experiment: a simulation, or a recording of your own."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from ngpipe.config.assembly.observation import Observation
from ngpipe.config.base import Count, Positive, Seconds, Section, Seed, Weight, unit

JITTER, WIDE_JITTER = 0.05, 0.5
"""Fraction of the frame interval by which a time may be off, where the config does not say it: of
frames at one interval, and of measured ones."""

Label = Annotated[str, Field(coerce_numbers_to_str=True)]
Share = Annotated[float, Field(ge=0, lt=1, json_schema_extra=unit("1"))]
Rate = Annotated[float, Field(gt=0, json_schema_extra=unit("Hz"))]


class Simulated(Section):
    """Activity of the assembly that the section `simulation` describes."""

    kind: Literal["simulated"] = Field("simulated", description="Selects a simulation.")


class RecordedInput(Section):
    """A stimulus or behaviour that was recorded beside the activity, of one or several columns."""

    files: tuple[str, ...] = Field(
        (),
        description="Files with the input, one for each of `source.files`, in their order. Empty: "
        "it is in the files of the activity.",
    )
    series: str | None = Field(
        None,
        description="Name inside the file, of a series or of an array of one dimension. Null: the "
        "only series that there is.",
    )
    columns: tuple[Label, ...] | None = Field(
        None, description="Columns to take, by name (by number, if they have none). Null: all."
    )
    name: str | None = Field(
        None,
        description="Name of the input in results; columns that are named or several follow it "
        "after a dot. Null: as found.",
    )
    units: str | None = Field(None, description="Unit, where the file does not say it.")
    axes: Literal["time_neuron", "neuron_time"] | None = Field(
        None, description="Order of the axes, where the file does not say it; columns are 'neuron'."
    )
    rate: Rate | None = Field(None, description="Samples per second, where the file has no times.")
    time: str | None = Field(
        None,
        description="Name of the variable or column with the time of each sample, on the clock of "
        "the activity.",
    )
    time_unit: Literal["s", "ms", "us", "min"] = Field(
        "s", description="Unit of these times, where the file does not say it."
    )
    between: Literal["held", "linear"] | None = Field(
        None,
        description="Value between two samples: that of the last one, or mixed linearly. Null: "
        "there is a sample at each frame of the activity.",
    )


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
    intervals: Literal["even", "measured"] = Field(
        "even",
        description="'even': frames come at one interval, and their times differ from it by "
        "rounding. 'measured': each difference is taken over the time between its own two frames.",
    )
    jitter: Positive | None = Field(
        None,
        description="Fraction of the frame interval by which a time may be off; a longer interval "
        "counts as a gap, with intervals: measured also a shorter one. Null: 0.05, or 0.5 with "
        "intervals: measured.",
    )
    units: str | None = Field(
        None, description="Unit of the activity, such as dF/F, where the file does not say it."
    )
    labels: str | None = Field(
        None, description="Name of the variable or column that names the neurons. Null: as found."
    )
    segment: str | None = Field(
        None,
        description="Name of the variable or column with the trial of each frame, or of a table of "
        "trials of NWB, such as `intervals/trials`; no difference is taken from one trial to the "
        "next.",
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
    inputs: tuple[RecordedInput, ...] = Field(
        (),
        description="Stimuli and behaviour, sampled at the frames of the activity and stored with "
        "it; with training.input: fitted, each neuron has a coefficient for each.",
    )
    truth: str | None = Field(
        None,
        description="A zarr store with true `connectivity` and `neuron_type`, if they are known; "
        "only scores and panels read it.",
    )

    @property
    def input_files(self) -> tuple[str, ...]:
        """Files with inputs alone."""
        return tuple(dict.fromkeys(file for one in self.inputs for file in one.files))

    @property
    def off(self) -> float:
        """Fraction of the frame interval by which a time may be off."""
        if self.jitter is not None:
            return self.jitter
        return JITTER if self.intervals == "even" else WIDE_JITTER

    @model_validator(mode="after")
    def _suits_intervals(self) -> "Recorded":
        observation = self.observation
        if self.intervals == "even" or observation is None:
            return self
        if observation.noise == "spectrum":
            raise ValueError(
                "observation.noise is 'spectrum', but intervals is 'measured': at uneven times "
                "slow activity has power at all frequencies, and would pass for noise; set "
                "observation.noise: autocovariance"
            )
        if observation.indicator is not None and observation.rate is None:
            raise ValueError(
                "intervals is 'measured', and an inverted indicator belongs to the middle between "
                "two frames, whose times differences of the store do not know; set "
                "observation.rate: {kind: savitzky_golay} and training.target: estimated"
            )
        return self

    @field_validator("files", "drop")
    @classmethod
    def _once(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        twice = [v for v in dict.fromkeys(values) if values.count(v) > 1]
        if twice:
            raise ValueError(f"{twice} stand here more than once; name each once")
        return values


class RecordedAs(Section):
    """Losses on the way from an assembly to a file."""

    decay: Seconds | None = Field(
        None, description="Decay time of the calcium indicator. Null: activity itself is recorded."
    )
    noise: Weight = Field(
        0.0, description="Standard deviation of the measurement noise, relative to the signal's."
    )
    dropped: Share = Field(0.0, description="Fraction of the frames that are lost at random.")
    sessions: Count = Field(1, description="Sessions of equal length, one file each.")
    lacking: Share = Field(
        0.0, description="Fraction of the cells that are not found in the last session."
    )
    seed: Seed = Field(0, description="Seed of noise, lost frames and lost cells.")

    @model_validator(mode="after")
    def _found_somewhere(self) -> "RecordedAs":
        if self.lacking and self.sessions == 1:
            raise ValueError("cells that the last session lacks need another; set sessions: 2")
        return self


class Laboratory(Section):
    """The assembly of the section `simulation`, recorded as a laboratory would and read back."""

    kind: Literal["laboratory"] = Field(
        "laboratory",
        description="Selects a simulation that is written as NWB files, with the losses of a "
        "recording, and imported from there; the truth stays known.",
    )
    recorded_as: RecordedAs = Field(RecordedAs(), description="Losses on the way to the file.")
    jitter: Positive = Field(0.05, description="As of a recording.")
    tau: Seconds = Field(
        1.0, description="Unit of time of the model; with `simulation` it gives the frame rate."
    )
    observation: Observation | None = Field(None, description="As of a recording.")


Source = Annotated[Simulated | Recorded | Laboratory, Field(discriminator="kind")]
