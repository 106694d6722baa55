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
    smoothing_spline,
    total_variation,
)
from ngpipe.acquisition.joined import Joined
from ngpipe.acquisition.linear_filter import Signal
from ngpipe.acquisition.local_polynomials import Times
from ngpipe.acquisition.rate_estimates import Estimator
from ngpipe.acquisition.total_variation import Differentiated
from ngpipe.config.assembly.observation import (
    Observation,
    Rates,
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
class _Clock:
    """When frames come."""

    recording: Joined
    stretches: tuple[range, ...]
    measured: bool
    """Frames have intervals of their own."""

    @property
    def times(self) -> Times:
        """Of the frames [tau]; without a clock of their own, of one interval after the other."""
        if self.measured:
            return self.recording.time
        return self.recording.dt * np.arange(self.recording.n_frames)

    def estimator(self, rate: Rates | None, time_constants: Sequence[float]) -> Estimator:
        """Filters of state and rate, the inverse of an indicator included."""
        if not self.measured:
            return rate_estimates.at_one_interval(self.recording.dt, rate, time_constants)
        return rate_estimates.at_measured_times(self.times, self.stretches, rate, time_constants)


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
    at = _Clock(recording, stretches, measured)
    rate, words = _rates(cfg.rate, signal, at)
    constants = _time_constants(cfg, recording.tau)
    estimator = at.estimator(rate, constants)
    noise = _noise(cfg, signal, at)
    steps = [*_changed(cfg), *_of_indicator(cfg, at), *words]
    made = None
    if isinstance(rate, TotalVariation):
        made = _differentiated(rate, signal, at, constants, noise)
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
    at: _Clock,
    time_constants: Sequence[float],
    noise: PerNeuron,
) -> Differentiated:
    """State and rate by total variation, after the inverse of the indicator if there is one."""
    earlier, times = indicator.inverse(at.times, at.stretches, time_constants)
    inside = [range(s.start + earlier.before, s.stop - earlier.after) for s in at.stretches]
    rng = np.random.default_rng(TRIAL_SEED)
    return total_variation.differentiated(
        earlier.applied(signal, at.stretches),
        inside,
        times,
        noise * earlier.variance**0.5,
        cfg.strength,
        rng,
    )


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


def _time_constants(cfg: Observation, tau: float) -> list[float]:
    """Of the indicator, the decay first [tau]."""
    if cfg.indicator is None:
        return []
    every = cfg.indicator.decay, cfg.indicator.rise
    return [seconds / tau for seconds in every if seconds is not None]


def _rates(cfg: Rates | None, signal: Signal, at: _Clock) -> tuple[Rates | None, list[str]]:
    """How state and rate are estimated, with a penalty for the spline, and words on it."""
    where = ", at the measured times" if at.measured else ""
    match cfg:
        case SavitzkyGolay(window=window, order=order):
            words = f"state and rate by Savitzky-Golay: {window} frames, order {order}"
        case SmoothingSpline(penalty=penalty):
            by = "the largest evidence" if penalty is None else "the config"
            if penalty is None:
                penalty = smoothing_spline.best_penalty(signal, at.stretches, at.times)
            cfg = SmoothingSpline(penalty=penalty)
            words = f"state and rate by a smoothing spline: penalty {penalty:.3g} by {by}"
        case TotalVariation(strength=strength):
            words = f"state and rate by total variation: strength {strength:g}"
        case None if not at.measured:
            return cfg, []
        case _:
            words = "rate by differences to the next frame"
    return cfg, [words + where]


def _of_indicator(cfg: Observation, at: _Clock) -> Iterator[str]:
    if cfg.indicator is not None:
        decay, rise = cfg.indicator.decay, cfg.indicator.rise
        rises = "" if rise is None else f", rise {rise:g} s"
        over = ", over the time between its frames" if at.measured else ""
        yield f"indicator inverted: decay {decay:g} s{rises}{over}"


def _noise(cfg: Observation, signal: Signal, at: _Clock) -> PerNeuron:
    n = signal.shape[1]
    if cfg.noise == "none":
        return np.zeros(n)
    some = [signal[:, k : k + NEURONS] for k in range(0, n, NEURONS)]
    times = at.times if at.measured else None
    parts = [measurement_noise.noise_sd(s, at.stretches, cfg.noise, times) for s in some]
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
