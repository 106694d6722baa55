"""Signal chain of a recording: what is done to a signal before W is looked for."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ngpipe.config.base import Fraction, Positive, Seconds, Section, unit

Window = Annotated[int, Field(ge=3, json_schema_extra=unit("frames"))]


class Baseline(Section):
    """dF/F: fluorescence relative to its baseline F0, (F - F0) / F0."""

    quantile: Fraction = Field(0.08, description="Quantile of F that is F0.")
    window: Seconds = Field(60.0, description="Time around each frame that it is taken over.")


class Indicator(Section):
    """A calcium indicator that is known; it is inverted exactly, not across gaps."""

    decay: Seconds = Field(description="Time constant of the decay, half-life / ln 2.")
    rise: Seconds | None = Field(
        None, description="Time constant of the rise. Null: it rises at once."
    )


class Differences(Section):
    """Rate from the difference to the next frame."""

    kind: Literal["finite_difference"] = Field(
        "finite_difference", description="Selects differences."
    )


class SavitzkyGolay(Section):
    """State and rate from a polynomial through the frames around each."""

    kind: Literal["savitzky_golay"] = Field(
        "savitzky_golay", description="Selects local polynomials."
    )
    window: Window = Field(9, description="Frames, an odd number. More frames, less noise.")
    order: Annotated[int, Field(ge=1, json_schema_extra=unit("1"))] = Field(
        2, description="Order of the polynomial."
    )

    @model_validator(mode="after")
    def _fits(self) -> "SavitzkyGolay":
        if self.window % 2 == 0:
            raise ValueError(f"window is {self.window}, expected an odd number; use one more frame")
        if self.order >= self.window:
            raise ValueError(
                f"order is {self.order}, expected less than the window of {self.window} frames; "
                "lower order"
            )
        return self


class SmoothingSpline(Section):
    """State and rate from a smoothing spline, the same for all neurons."""

    kind: Literal["spline"] = Field("spline", description="Selects a smoothing spline.")
    penalty: Positive | None = Field(
        None,
        description="Weight on the squared third differences. Null: that of the largest evidence.",
    )


class TotalVariation(Section):
    """State and rate by total-variation differentiation: a rate that is constant in pieces."""

    kind: Literal["total_variation"] = Field(
        "total_variation", description="Selects total-variation differentiation."
    )
    strength: Positive = Field(
        3.0,
        description="Weight on the total variation of the rate, in units of each neuron's "
        "measurement noise. More: fewer changes of the rate.",
    )


Rates = Annotated[
    Differences | SavitzkyGolay | SmoothingSpline | TotalVariation, Field(discriminator="kind")
]


class Observation(Section):
    """Signal chain, in this order: baseline, detrend, zscore, indicator, rate."""

    baseline: Baseline | None = Field(
        None, description="`dF/F` of raw fluorescence. Null: the signal is used as it is."
    )
    detrend: Literal["none", "linear", "running"] = Field(
        "none",
        description="'linear' takes a straight line out of each session, 'running' a running mean.",
    )
    detrend_window: Seconds = Field(120.0, description="Time that the running mean is taken over.")
    zscore: bool = Field(
        False,
        description="Subtract each neuron's mean and divide by its standard deviation, over all "
        "sessions.",
    )
    indicator: Indicator | None = Field(
        None, description="Indicator to invert. Null: the signal is the activity."
    )
    noise: Literal["autocovariance", "spectrum", "none"] = Field(
        "autocovariance",
        description="Estimate of the measurement noise of each neuron: from the covariance of "
        "neighbouring steps, from the power at high frequencies, or 'none', which assumes that "
        "there is none.",
    )
    rate: Rates | None = Field(
        None,
        description="Estimate of state and rate, for training.target: estimated. Null: the signal "
        "is the state, and training.target: finite_difference takes its differences.",
    )

    @model_validator(mode="after")
    def _noise_is_known(self) -> "Observation":
        if isinstance(self.rate, TotalVariation) and self.noise == "none":
            raise ValueError(
                "rate.kind is 'total_variation', whose weight is in units of the measurement "
                "noise, but noise is 'none'; set noise: autocovariance, or another rate.kind"
            )
        return self
