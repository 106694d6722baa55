"""The signal chain of a recording: from what a file holds to state, rate, and their noise."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ngpipe.acquisition import (
    baseline,
    indicator,
    measurement_noise,
    rate_estimates,
    total_variation,
    uneven_filters,
)
from ngpipe.acquisition.joined import Joined
from ngpipe.acquisition.linear_filter import Filter, Signal
from ngpipe.acquisition.rate_estimates import Estimator
from ngpipe.acquisition.total_variation import Differentiated
from ngpipe.config.assembly.observation import (
    Differences,
    Observation,
    SavitzkyGolay,
    SmoothingSpline,
    TotalVariation,
)

TRIAL_SEED = 0
"""Of the noise with which total variation tries out what noise it leaves."""
NEURONS = 64
"""Neurons whose traces are worked on at once."""

PerNeuron = Float[np.ndarray, " neuron"]


@dataclass(frozen=True)
class Observed:
    """All frames of a recording, and the filters that give state and rate."""

    recorded: Signal
    """In the unit of the file."""
    signal: Signal
    """After baseline, detrending and scaling."""
    stretches: tuple[range, ...]
    """Frames that follow one another without a gap, within one session."""
    estimator: Estimator
    has_rate: bool
    noise: PerNeuron
    """Standard deviation of the measurement noise of :attr:`signal`; 0 where none is assumed, NaN
    where it is not known."""
    steps: tuple[str, ...]
    """Sentences on what was done."""
    made: Differentiated | None = None
    """State and rate that no filter gives."""

    @property
    def reach(self) -> tuple[int, int]:
        """Frames before and after each that state and rate are from."""
        before, after = self.estimator.reach
        more = 0 if self.made is None else total_variation.REACH
        return before + more, after + more

    @property
    def state_noise(self) -> PerNeuron:
        """Standard deviation of the measurement noise of the state."""
        if self.made is not None:
            return self.made.state_noise
        return self.noise * self.estimator.state.variance**0.5

    @property
    def rate_noise(self) -> PerNeuron:
        """Standard deviation that it gives the rate [1/tau]."""
        if self.made is not None:
            return self.made.rate_noise
        return self.noise * self.estimator.rate.variance**0.5

    def blocks(self, length: int) -> Iterator[tuple[int, dict[str, Signal]]]:
        """State, rate and recorded signal, some frames at a time, with the number of the first."""
        n = len(self.signal)
        if (made := self.made) is not None:
            for part in (slice(k, min(k + length, n)) for k in range(0, n, length)):
                found = {"activity": made.state[part], "rate": made.rate[part]}
                yield part.start, found | {"recorded": self.recorded[part]}
            return
        before, after = self.estimator.reach
        for start in range(0, n, length):
            stop = min(start + length, n)
            low, high = max(0, start - before), min(n, stop + after)
            here = [
                range(max(s.start, low) - low, min(s.stop, high) - low)
                for s in self.stretches
                if s.start < high and s.stop > low
            ]
            state, rate = self._estimated(slice(low, high), here)
            inside = slice(start - low, stop - low)
            found = {"activity": state[inside], "recorded": self.recorded[start:stop]}
            yield start, found | ({"rate": rate[inside]} if self.has_rate else {})

    def _estimated(self, frames: slice, stretches: Sequence[range]) -> tuple[Signal, Signal]:
        signal, estimator = self.signal[frames], self.estimator.part(frames)
        if self.has_rate:
            return estimator.applied(signal, stretches)
        state = estimator.state.applied(signal, stretches)
        return state, state


def observed(
    recording: Joined, cfg: Observation, stretches: tuple[range, ...], *, measured: bool = False
) -> Observed:
    """Read a recording whole, and prepare its signal chain.

    Args:
        recording: all sessions.
        cfg: the section `source.observation`.
        stretches: frames that follow one another without a gap.
        measured: frames have intervals of their own.

    Raises:
        RecordingError: a baseline is not positive, or stretches are too short for a spline.
    """
    recorded = np.concatenate([block for _, block in recording.blocks(4_096)])
    frame = 1 / recording.rate
    changes = cfg.baseline is not None or cfg.detrend != "none" or cfg.zscore
    signal = recorded.copy() if changes else recorded
    for first in range(0, signal.shape[1], NEURONS):
        some = slice(first, first + NEURONS)
        signal[:, some] = _scaled(signal[:, some], recording.session, cfg, frame, first)
    if measured:
        estimator, told = _at_measured_times(cfg, recording, stretches)
    else:
        estimator, told = _estimator(cfg, signal, stretches, frame, recording.dt)
    noise = _noise(cfg, signal, stretches, recording.time if measured else None)
    steps = [*_changed(cfg), *told]
    made = None
    if isinstance(cfg.rate, TotalVariation):
        made = _differentiated(cfg.rate, signal, stretches, estimator, noise, recording.dt)
    return Observed(
        recorded,
        signal,
        stretches,
        estimator,
        cfg.rate is not None,
        noise,
        (*steps, *_of_noise(cfg, noise, estimator, signal, made)),
        made,
    )


def _differentiated(
    cfg: TotalVariation,
    signal: Signal,
    stretches: Sequence[range],
    earlier: Estimator,
    noise: PerNeuron,
    dt: float,
) -> Differentiated:
    """State and rate by total variation, after the inverse of the indicator if there is one."""
    inverted = earlier.state.applied(signal, stretches)
    left = noise * earlier.state.variance**0.5
    inside = [
        range(s.start + earlier.state.before, s.stop - earlier.state.after) for s in stretches
    ]
    rng = np.random.default_rng(TRIAL_SEED)
    return total_variation.differentiated(inverted, inside, dt, left, cfg.strength, rng)


def _scaled(
    signal: Signal, session: np.ndarray, cfg: Observation, frame: float, first: int
) -> Signal:
    """Some neurons after baseline, detrending and scaling."""
    out = signal.copy()
    for k in np.unique(session):
        mine = session == k
        part = signal[mine]
        if cfg.baseline is not None:
            window = _frames(cfg.baseline.window, frame)
            part = baseline.relative_change(part, window, cfg.baseline.quantile, first=first)
        if cfg.detrend == "linear":
            part = baseline.straightened(part)
        if cfg.detrend == "running":
            part = baseline.without_drift(part, _frames(cfg.detrend_window, frame))
        out[mine] = part
    return baseline.standardised(out) if cfg.zscore else out


def _frames(seconds: float, frame: float) -> int:
    return max(3, round(seconds / frame))


def _estimator(
    cfg: Observation, signal: Signal, stretches: Sequence[range], frame: float, dt: float
) -> tuple[Estimator, list[str]]:
    """Filters of state and rate, the inverse of the indicator included, and words on them."""
    told = []
    match cfg.rate:
        case SavitzkyGolay(window=window, order=order):
            found = rate_estimates.savitzky_golay(dt, window, order)
            told.append(f"state and rate by Savitzky-Golay: {window} frames, order {order}")
        case SmoothingSpline(penalty=penalty):
            used = rate_estimates.best_penalty(signal, stretches) if penalty is None else penalty
            found = rate_estimates.smoothing_spline(dt, used)
            by = "the largest evidence" if penalty is None else "the config"
            told.append(f"state and rate by a smoothing spline: penalty {used:.3g} by {by}")
        case TotalVariation(strength=strength):
            found = Estimator(Filter(np.ones(1)), Filter(np.ones(1)))
            told.append(f"state and rate by total variation: strength {strength:g}")
        case Differences():
            found = rate_estimates.finite_difference(dt)
            told.append("rate by differences to the next frame")
        case None:
            found = Estimator(Filter(np.ones(1)), Filter(np.array([-1.0, 1.0]) / dt))
    if cfg.indicator is not None:
        rise, decay = cfg.indicator.rise, cfg.indicator.decay
        found = found.of(indicator.inverse(frame, decay, rise))
        rises = "" if rise is None else f", rise {rise:g} s"
        told.insert(0, f"indicator inverted: decay {decay:g} s{rises}")
    return found, told


def _at_measured_times(
    cfg: Observation, recording: Joined, stretches: Sequence[range]
) -> tuple[Estimator, list[str]]:
    """The same for frames that have intervals of their own."""
    times, told, chain = recording.time, [], []
    if cfg.indicator is not None:
        constants = [cfg.indicator.decay, cfg.indicator.rise]
        for seconds in (c for c in constants if c is not None):
            earlier, times = uneven_filters.inverse(times, stretches, seconds / recording.tau)
            chain.append(earlier)
        told.append("indicator inverted over the time between its frames")
    found = rate_estimates.at_measured_times(times, stretches, cfg.rate)
    for earlier in reversed(chain):
        found = found.of(earlier)
    by = "differences to the next frame"
    if isinstance(cfg.rate, SavitzkyGolay):
        by = f"polynomials of order {cfg.rate.order} through {cfg.rate.window} frames"
    told.append(f"rate by {by}, at the measured times")
    return found, told


def _noise(
    cfg: Observation,
    signal: Signal,
    stretches: Sequence[range],
    times: Float[np.ndarray, " frame"] | None,
) -> PerNeuron:
    n = signal.shape[1]
    if cfg.noise == "none":
        return np.zeros(n)
    some = [signal[:, k : k + NEURONS] for k in range(0, n, NEURONS)]
    parts = [measurement_noise.noise_sd(s, stretches, cfg.noise, times) for s in some]
    return np.concatenate(parts)


def _changed(cfg: Observation) -> Iterator[str]:
    if cfg.baseline is not None:
        quantile, window = cfg.baseline.quantile, cfg.baseline.window
        yield f"dF/F: the baseline is the {quantile:g} quantile within {window:g} s"
    if cfg.detrend == "linear":
        yield "a straight line taken out of every session"
    if cfg.detrend == "running":
        yield f"the running mean over {cfg.detrend_window:g} s taken out"
    if cfg.zscore:
        yield "z-scores: every neuron has mean 0 and standard deviation 1"


def _of_noise(
    cfg: Observation,
    noise: PerNeuron,
    estimator: Estimator,
    signal: Signal,
    made: Differentiated | None,
) -> Iterator[str]:
    if cfg.noise == "none":
        return
    if np.isnan(noise).any():
        yield (
            f"{np.isnan(noise).sum()} neurons have too short stretches to tell their measurement "
            "noise, and count as free of it"
        )
    if np.isnan(noise).all():
        return
    known = np.isfinite(noise)
    typical = float(np.median(noise[known]))
    share = float(np.median(noise[known] / np.nanstd(signal[:, known], axis=0, dtype=np.float64)))
    gain = estimator.state.variance**0.5, estimator.rate.variance**0.5
    if made is not None:
        each = np.stack([made.state_noise, made.rate_noise])[:, known]
        gain = tuple(np.median(each, axis=1) / typical) if typical else (0.0, 0.0)
    yield (
        f"measurement noise by {cfg.noise}: standard deviation {typical:.3g} (median of the "
        f"neurons), {share:.1%} of that of the signal; {typical * gain[0]:.3g} in the state, "
        f"{typical * gain[1]:.3g} per tau in its rate"
    )
