"""Data that training may see: activity, target rate, driven neurons, held-out frames."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ngpipe.arrays import Activity, Rate, Series, Trajectory
from ngpipe.assembly.field import Sites
from ngpipe.assembly.fitted_input import InputSeries
from ngpipe.assembly.gnn import Scales
from ngpipe.assembly.known_input import KnownInput
from ngpipe.assembly.sessions import Sessions, SomeNeurons
from ngpipe.errors import DivergenceError, StoreError

BLOCK = 20
"""Frames of a held-out block: short, so that a hidden input hardly changes within."""

STRETCH = 4_096
"""Frames read at once where all are looked at."""

LAGS = 3
"""Distances of the frames whose residuals judge a model together."""

NEAR = 3
"""Frames within which an earlier one is near, in multiples of those that an estimate reaches."""
NOT_FINITE = (
    "reading a recording from its store leaves such frames out; in one that is built by hand, "
    "exclude them with `stretches`; do not fill them in: differences over invented frames are not "
    "those of the neurons"
)
"""Remedy for values that are not finite."""

FrameIndices = Int[Tensor, " frame"]


@dataclass(frozen=True)
class Recording:
    """Activity of an assembly and the rate that the model is to predict.

    A share of the frames is never trained on: the end of the recording, or blocks of 20 frames
    spread evenly over it. Half of them (the first half; every other block) serve scoring, the
    others the choice of the model, so that the scores are not those of the selection.

    Frames may fall into stretches, with a gap, another trial, or frames without a value between
    two of them. Nothing is read between stretches and no difference reaches over their ends. The
    time of a frame is the time recorded until then, without the gaps.

    Sessions may each see some of the neurons. The others are NaN in their frames, as are their
    rates. Frames are then held out in the sessions that see most neurons, of each its own end or
    its own blocks.
    """

    activity: Trajectory | Series
    rate: Trajectory | Series | None
    """Rate [1/tau], exact or estimated; None: finite differences of activity take its place."""
    dt: float
    """Time from one frame to the next [tau]; the typical one, if they differ."""
    held_out: float
    in_blocks: bool = False
    sites: Sites | None = None
    """The driven neurons, if any."""
    known_input: KnownInput | None = None
    inputs: InputSeries | None = None
    """Recorded inputs with a coefficient of every neuron to be fitted, if there are any."""
    stretches: tuple[range, ...] | None = None
    """Frames that follow one another by ``dt``, all of them finite; None: the whole recording."""
    sessions: Sessions | None = None
    """Sessions and the neurons that each of them sees; None: every frame sees all neurons."""
    units: Scales | None = None
    """Units of activity and rate, if those of a larger recording are to serve."""
    reach: tuple[int, int] | None = None
    """Frames before and after each that an estimated rate and its activity are from; None of an
    exact rate and of finite differences."""
    intervals: Float[Tensor, " frame"] | None = None
    """Time from each frame to the next [tau], where that differs; None if all are ``dt``."""
    state_noise: Float[Tensor, " neuron"] | None = None
    """Standard deviation of the measurement noise, in the unit of activity, if there is any."""

    @property
    def exact(self) -> bool:
        """True if the rate is the exact one."""
        return self.rate is not None and self.reach is None

    @property
    def shares_noise(self) -> bool:
        """True if the noise of a neuron's activity is part of its rate too."""
        return not self.exact

    @property
    def memory(self) -> int:
        """Frames from one to the next whose state and target share no measured frame with it."""
        if self.reach is not None:
            return sum(self.reach) + 1
        return 2 if self.rate is None else 1

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return self.activity.shape[1]

    @property
    def n_frames(self) -> int:
        """Number of frames, whether they have a target or not."""
        return len(self.activity)

    @property
    def duration(self) -> float:
        """Time from the first frame to the end of the last one [tau]."""
        return len(self.activity) * self.dt

    @cached_property
    def usable(self) -> FrameIndices:
        """Frames that have a target: of finite differences, all but the last of every stretch."""
        lost = self.rate is None
        whole = (range(len(self.activity)),) if self.stretches is None else self.stretches
        parts = [torch.arange(s.start, max(s.start, s.stop - lost)) for s in whole]
        return torch.cat(parts) if parts else torch.arange(0)

    @property
    def n_usable(self) -> int:
        """Number of frames that have a target."""
        return len(self.usable)

    @cached_property
    def blocks(self) -> list[range]:
        """Held-out blocks in time, as indices among the usable frames."""
        if self.sessions is None:
            return self._blocks_of(range(self.n_usable))
        session = self.sessions.of_frame[self.usable]
        found = []
        for k in self.sessions.fullest:
            mine = torch.nonzero(session == k)[:, 0]
            if len(mine):
                found += self._blocks_of(range(int(mine[0]), int(mine[-1]) + 1))
        return found

    def _blocks_of(self, part: range) -> list[range]:
        """Held-out blocks of usable frames that follow one another."""
        first, n = part.start, len(part)
        if not self.in_blocks:
            start = min(int((n + (self.rate is None)) * (1 - self.held_out)), n)
            middle = (start + n) // 2
            return [range(first + start, first + middle), range(first + middle, first + n)]
        pairs = max(1, round(n * self.held_out / (2 * BLOCK)))
        starts = [int((k + 0.5) * n / (2 * pairs)) for k in range(2 * pairs)]
        return [range(first + s, first + min(s + BLOCK, n)) for s in starts]

    @cached_property
    def training_frames(self) -> FrameIndices:
        """Frames to train on: neither they nor their targets are held out."""
        free = torch.ones(self.n_usable, dtype=torch.bool)
        # A finite difference reaches one frame ahead; estimates share no measured frame.
        before, after = (int(self.rate is None), 0) if self.reach is None else [self.memory - 1] * 2
        for block in self.blocks:
            free[max(0, block.start - before) : block.stop + after] = False
        return self.usable[free]

    @cached_property
    def training_ends(self) -> FrameIndices:
        """Index of the last frame of the same stretch, for every training frame."""
        if self.stretches is None:
            return torch.full_like(self.training_frames, len(self.training_frames) - 1)
        stops = torch.tensor([s.stop for s in self.stretches])
        stop = stops[torch.searchsorted(stops, self.training_frames, right=True)]
        return torch.searchsorted(self.training_frames, stop) - 1

    @property
    def first_held_out(self) -> int:
        """First frame of what is held out."""
        return int(self.usable[self.blocks[0].start])

    def rollout_start(self, n_frames: int) -> int:
        """First held-out frame after which the recording goes on for ``n_frames`` without a break.

        Raises:
            StoreError: there is none.
        """
        frames, left = self._held_out_runs
        enough = torch.nonzero(left >= n_frames)[:, 0]
        if len(enough):
            return int(frames[enough[0]])
        raise StoreError(
            f"a rollout of {n_frames} frames (rollout.n_frames) needs as many frames after a "
            f"held-out one, but there are {self.longest_rollout} frames at most; lower "
            "rollout.n_frames, or hold out more of the recording"
        )

    @property
    def longest_rollout(self) -> int:
        """Frames that follow a held-out one without a break, at most."""
        return int(self._held_out_runs[1].max())

    @cached_property
    def _held_out_runs(self) -> tuple[FrameIndices, FrameIndices]:
        """Held-out frames, and the number of frames that follow each without a break."""
        whole = (range(len(self.activity)),) if self.stretches is None else self.stretches
        held_out = torch.tensor([place for block in self.blocks for place in block])
        frames = self.usable[held_out]
        stops = torch.tensor([s.stop for s in whole])
        return frames, stops[torch.searchsorted(stops, frames, right=True)] - 1 - frames

    def times(self, frames: FrameIndices) -> Float[Tensor, " frame"]:
        """Time recorded until the frames, at the typical interval [tau]."""
        return self.dt * frames

    def batch(self, frames: FrameIndices) -> tuple[Activity, Rate]:
        """Activity and target rate at the given frames, each ``(frame, neuron)``."""
        x = self.activity[frames]
        if self.rate is not None:
            return x, self.rate[frames]
        own = self.dt if self.intervals is None else self.steps(frames)[:, None].to(x)
        return x, (self.activity[frames + 1] - x) / own

    def steps(self, frames: Int[Tensor, "*frame"]) -> Float[Tensor, "*frame"]:
        """Time from each of some frames to the next [tau]."""
        if self.intervals is None:
            return torch.full(frames.shape, self.dt, dtype=torch.float64)
        return self.intervals[frames.cpu()]

    def scoring_frames(self, n: int) -> FrameIndices:
        """About ``n`` evenly spaced frames of every other held-out stretch."""
        return _spread(self._frames_of(self.blocks[0::2]), n)

    def selection_frames(self, n: int) -> FrameIndices:
        """About ``n`` evenly spaced frames of the other held-out stretches."""
        return _spread(self._frames_of(self.blocks[1::2]), n)

    def _frames_of(self, blocks: list[range]) -> FrameIndices:
        return self.usable[torch.tensor([k for b in blocks for k in b], dtype=torch.long)]

    def training_sample(self, n: int) -> FrameIndices:
        """About ``n`` evenly spaced training frames; as many of every session, if they differ."""
        if self.sessions is None:
            return _spread(self.training_frames, n)
        session = self.sessions.of_frame[self.training_frames]
        each = -(-n // self.sessions.n_sessions)
        parts = [self.training_frames[session == k] for k in range(self.sessions.n_sessions)]
        return torch.cat([_spread(part, each) for part in parts])

    def pairs(self, n: int) -> Int[Tensor, " pair"]:
        """Earlier of about ``n`` pairs of training frames, ``memory`` apart."""
        known = self.training_frames
        return _spread(known[self._joined(known, self.memory, known)], n)

    def with_past(
        self, frames: FrameIndices
    ) -> tuple[Int[Tensor, " later"], Int[Tensor, " later"]]:
        """Those of some frames that share no measured frame with an earlier one, and the latter.

        It is the last such frame, also across a gap, unless all that are near were lost.
        """
        place = torch.searchsorted(self.usable, frames - self.memory, right=True) - 1
        past = self.usable[place.clamp_min(0)]
        near = (place >= 0) & (frames - past <= NEAR * self.memory)
        return frames[near], past[near]

    def judging_pairs(self) -> tuple[Int[Tensor, " pair"], Int[Tensor, " pair"]]:
        """Pairs of frames, ``memory`` apart or a little more, of which the first chooses models."""
        held_out = self._frames_of(self.blocks[1::2])
        first, second = [], []
        for lag in range(self.memory, self.memory + LAGS):
            for step in (-lag, lag):
                frames = held_out[self._joined(held_out, step, self.usable)]
                first.append(frames)
                second.append(frames + step)
        return torch.cat(first), torch.cat(second)

    def _joined(
        self, frames: FrameIndices, step: int, known: Int[Tensor, " known"]
    ) -> Bool[Tensor, " frame"]:
        """Mask of frames from which a step within the same stretch leads to one of the known."""
        there = torch.isin(frames + step, known)
        if self.stretches is None:
            return there
        stops = torch.tensor([s.stop for s in self.stretches])
        here, other = (
            torch.searchsorted(stops, f.contiguous(), right=True) for f in (frames, frames + step)
        )
        return there & (here == other)

    def scales(self) -> Scales:
        """Units of activity and rate, from a sample of the training frames.

        Raises:
            DivergenceError: activity is not finite at a training frame.
        """
        return self._scales

    @cached_property
    def _scales(self) -> Scales:
        if self.units is not None:
            return self.units
        x, rate = (self.values(v) for v in self.batch(self.training_sample(2_000)))
        largest = max(self._largest(part) for part in self.training_frames.split(STRETCH))
        return Scales(
            activity=float(x.std()),
            reach=1.1 * largest,
            rate=float(rate.square().mean().sqrt()),
        )

    def _largest(self, frames: FrameIndices) -> float:
        x = self.activity[frames]
        broken = ~x.isfinite()
        if self.sessions is not None:
            broken &= self.sessions.here(frames).to(x.device)
        if broken.any():
            frame, neuron = torch.nonzero(broken)[0].tolist()
            raise DivergenceError(
                f"activity or rate of neuron {neuron} at frame {int(frames[frame])} is not finite; "
                f"{NOT_FINITE}"
            )
        return float(self.values(x).abs().max())

    def values(self, x: Tensor) -> Tensor:
        """Values that there are: of all neurons, or where sessions lack some, without these."""
        return x if self.sessions is None else x[~x.isnan()]

    @cached_property
    def typical(self) -> Float[Tensor, " neuron"]:
        """Mean activity of every neuron, in a sample of the training frames that see it."""
        return self.activity[self.training_sample(20_000)].nanmean(0)

    def filled(self, x: Activity) -> Activity:
        """Activity with neurons that are not seen at their mean activity."""
        return x if self.sessions is None else torch.where(x.isnan(), self.typical, x)

    def pairs_seen(self) -> Int[Tensor, "post pre"]:
        """Number of training frames at which both neurons of a pair are seen."""
        if self.sessions is None:
            n = self.n_neurons
            return torch.full((n, n), len(self.training_frames))
        return self.sessions.pairs_seen(self.training_frames)

    def alone(self, session: int) -> "Recording":
        """One session with the neurons it sees, a recording of its own in the units of the whole.

        Args:
            session: number of a session.
        """
        sessions: Sessions = self.sessions  # type: ignore[assignment]  # of a recording that has them
        neurons = sessions.members(session).to(self.activity.device)
        known = self.known_input
        if known is not None:
            known = KnownInput(known.table[:, neurons], known.image, known.dt, known.mode)
        return replace(
            self,
            activity=SomeNeurons(self.activity, neurons),
            rate=None if self.rate is None else SomeNeurons(self.rate, neurons),
            known_input=known,
            state_noise=None if self.state_noise is None else self.state_noise[neurons],
            stretches=self._stretches_of(session),
            sessions=None,
            units=self.scales(),
        )

    def _stretches_of(self, session: int) -> tuple[range, ...]:
        sessions: Sessions = self.sessions  # type: ignore[assignment]
        parts = self.stretches or ()
        return tuple(s for s in parts if sessions.of_frame[s.start] == session)

    def visited(self, share: float, n: int = 5_000) -> Float[Tensor, "neuron 2"]:
        """Ends of the central ``share`` of each neuron's activity during training."""
        x = self.activity[self.training_sample(n)]
        tails = ((1 - share) / 2, (1 + share) / 2)
        if self.sessions is not None:
            return torch.nanquantile(x, x.new_tensor(tails), dim=0).T
        # A whole order is not needed, as it would be for torch.quantile.
        found = [_quantile(x.T, tail) for tail in tails]
        return torch.stack(found, 1)


def _quantile(x: Float[Tensor, "neuron frame"], share: float) -> Float[Tensor, " neuron"]:
    place = share * (x.shape[1] - 1)
    low, high = (x.kthvalue(int(k) + 1, dim=1).values for k in (place, math.ceil(place)))
    return torch.lerp(low, high, place - int(place))


def _spread(frames: FrameIndices, n: int) -> Int[Tensor, " sample"]:
    return frames[:: max(1, len(frames) // n)]
