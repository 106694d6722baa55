"""External input Omega_i(t) of the first neurons: what it is, and how it acts."""

from math import isqrt
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from ngpipe.config.base import Count, Duration, Positive, Section, Seed, unit

Mode = Literal["multiplicative", "additive"]
Level = Annotated[float, Field(json_schema_extra=unit("1 or 1/tau"))]
Share = Annotated[float, Field(ge=0, le=1, json_schema_extra=unit("1"))]


class _Input(Section):
    """Keys that all inputs share."""

    mode: Mode = Field(
        "multiplicative",
        description="'multiplicative': Omega_i(t) [1] multiplies the recurrent input of neuron i; "
        "'additive': Omega_i(t) [1/tau] is added to its rate.",
    )
    n_inputs: Count = Field(
        1024,
        description="Number of driven neurons, the first ones. The others have Omega = 1 "
        "(multiplicative) or 0 (additive).",
    )
    burn_in_input: Literal["first_frame", "one", "zero"] = Field(
        "first_frame",
        description="Omega of all neurons during burn-in: that of frame 0, or 1, or 0. With "
        "'zero' a multiplicative input switches all coupling off, as in the paper's code.",
    )


class _Field(_Input):
    """An input that is a movie, seen by driven neurons on a square grid."""

    interpolation: Literal["held", "linear"] = Field(
        "held", description="Between two images: hold the last one, or mix both linearly."
    )
    jitter: Annotated[float, Field(ge=0, json_schema_extra=unit("1"))] = Field(
        0.0,
        description="Standard deviation of positions around their grid points, relative to the "
        "unit square. The movie is read at the position of the neuron.",
    )

    @field_validator("n_inputs")
    @classmethod
    def _square(cls, value: int) -> int:
        if isqrt(value) ** 2 != value:
            raise ValueError(
                f"driven neurons lie on a square grid, so n_inputs must be a square; the nearest "
                f"are {isqrt(value) ** 2} and {(isqrt(value) + 1) ** 2}"
            )
        return value


class Movie(_Field):
    """A generated movie: a static image on which soft blobs of light and shade drift about."""

    kind: Literal["movie"] = Field("movie", description="Selects the generated movie.")
    n_images: Annotated[int, Field(ge=2, json_schema_extra=unit("1"))] = Field(
        257, description="Number of images, spread evenly over the recording."
    )
    low: Level = Field(0.5, description="Smallest value of the movie.")
    high: Level = Field(1.5, description="Largest value of the movie.")
    static: Share = Field(0.6, description="Fraction of the variance in the time-averaged image.")
    n_blobs: Count = Field(12, description="Number of moving blobs.")
    seed: Seed = Field(42, description="Seed of image, blobs and their paths.")

    @model_validator(mode="after")
    def _ordered(self) -> "Movie":
        if not self.low < self.high:
            raise ValueError(f"low ({self.low:g}) must lie below high ({self.high:g})")
        if self.n_inputs < 4:
            raise ValueError(
                f"a movie of n_inputs ({self.n_inputs}) = 1 pixel has no static image; raise "
                "n_inputs to 4 or more, or choose kind: oscillation"
            )
        return self


class Video(_Field):
    """A movie read from a file."""

    kind: Literal["video"] = Field("video", description="Selects a movie from a file.")
    path: str = Field(
        description="A .tif, .npy, .zarr, .mp4, .avi, .mov or .gif file of any size and number of "
        "images, resampled to the grid of driven neurons; grey values are used as they are, "
        "unsigned 8-bit ones divided by 255 and 16-bit ones by 65535, colours averaged. Relative "
        "paths start at the working directory."
    )
    variable: str | None = Field(
        None, description="Name of the movie inside a .zarr that holds several."
    )
    low: Level | None = Field(
        None, description="Rescale the movie so that this is its smallest value. Null: unchanged."
    )
    high: Level | None = Field(None, description="The same for its largest value.")

    @model_validator(mode="after")
    def _both(self) -> "Video":
        if self.low is None and self.high is None:
            return self
        if self.low is None or self.high is None:
            raise ValueError("low and high rescale the movie together: give both, or none")
        if not self.low < self.high:
            raise ValueError(f"low ({self.low:g}) must lie below high ({self.high:g})")
        return self


class _Sampled(_Input):
    """An input per neuron that is tabulated in time and interpolated linearly."""

    every: Count = Field(
        5, description="Frames between two tabulated values.", json_schema_extra=unit("frames")
    )
    baseline: Level = Field(
        1.0, description="Value around which an oscillation varies, or from which pulses rise."
    )
    amplitude: Level = Field(
        0.5, description="Largest deviation of an oscillation or of a single pulse; pulses add up."
    )
    seed: Seed = Field(42, description="Seed of periods, phases and triggers.")


class Oscillation(_Sampled):
    """baseline + amplitude sin(2 pi t / period_i + phase_i), period and phase per neuron."""

    kind: Literal["oscillation"] = Field("oscillation", description="Selects oscillations.")
    period: tuple[Duration, Duration] = Field(
        (5.0, 20.0), description="Shortest and longest period; drawn uniformly in the logarithm."
    )

    @field_validator("period")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("the shortest period comes first and must not exceed the longest")
        return value


class Pulses(_Sampled):
    """baseline + amplitude exp(-(t - t_k) / decay) after each trigger t_k, triggers per neuron."""

    kind: Literal["pulses"] = Field("pulses", description="Selects triggered pulses.")
    rate: Positive = Field(
        0.05,
        description="Mean number of triggers of a neuron per unit time (a Poisson process).",
        json_schema_extra=unit("1/tau"),
    )
    decay: Duration = Field(2.0, description="Decay time constant of a pulse.")


Input = Annotated[Movie | Video | Oscillation | Pulses, Field(discriminator="kind")]
