"""The problem that the closed form solves: a recording, settings, and the frames of every stage."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form.chosen_frames import DriveOf, Equations, Frames, Source
from ngpipe.assembly.closed_form.diagnosis import Diagnosis
from ngpipe.assembly.closed_form.hidden import KnottedInput
from ngpipe.assembly.closed_form.shared_noise import shared_noise
from ngpipe.assembly.closed_form.spline import Spline
from ngpipe.assembly.closed_form.transfer import Fit, Report
from ngpipe.assembly.informative_frames import informative_sample
from ngpipe.assembly.recording import Recording
from ngpipe.config.assembly.training import ClosedForm, Training
from ngpipe.errors import DivergenceError

HELD_OUT_FRAMES = 300
"""Frames that choose ridge and basis."""
FIRM = 0.02
"""Expected 1 - R2 of W with which psi can be searched for."""
NOISY_ROWS = 4
"""Times as many rows for a psi that is found in noise."""
NOISY_HELD_OUT = 3_000
"""Held-out frames that choose between searches in noise."""
NOISY_FRAMES = 30_000
"""Most frames for it."""
ENOUGH = 1e-5
"""Expected 1 - R2 of W that no further frames are read for."""
MORE = 1.5
"""Times as many frames that are worth solving once more for."""

IN_MEMORY_BYTES = 2 * 10**9
"""Memory that frames may take before they are streamed."""


@dataclass(frozen=True)
class Problem:
    """One recording to solve, and the frames of every stage; stages that change them make another.

    Only the generator moves on while it is solved.
    """

    recording: Recording
    cfg: Training
    report: Report
    """Told what every stage has reached."""
    generator: torch.Generator
    """Draws the rows that psi is found on."""
    everything: Source
    """All training frames."""
    frames: Equations
    """Frames of the rows of W, in memory unless they are streamed."""
    few: Equations
    """Frames of the search for psi."""
    held_out: Frames
    """Frames that choose ridge and basis."""
    n_rows: int
    """Rows that psi is found on."""
    shared_noise: float = 0.0
    """Root mean square of the covariance of the noise of state and rate that was taken out."""
    every: int | None = None
    """Step between all training frames that the final rows are solved from; None: ``frames``."""

    @classmethod
    def of(
        cls, recording: Recording, cfg: Training, report: Report, *, streamed: bool = False
    ) -> "Problem":
        """The problem before anything is known of it.

        Args:
            recording: activity, target rate, and what is held out.
            cfg: the training section of the config.
            report: told what every stage has reached.
            streamed: read the frames anew whenever they are needed, if they would take much
                memory.

        Raises:
            DivergenceError: activity or rate is not finite, or the rate of a neuron is zero at all
                frames.
        """
        settings = cfg.closed_form
        # Of a row: weights, phi, and its share of psi and of an input.
        unknowns = recording.n_neurons + 4 * settings.fine_basis
        knots = settings.input_knots if cfg.input == "field" else 0
        wanted = int(settings.frames * (unknowns + knots))
        source = source_of(recording, cfg, informative_sample(recording, wanted))
        size = 8 * recording.n_neurons * len(source)
        frames = source if streamed and size > IN_MEMORY_BYTES else source.read()
        problem = cls(
            recording=recording,
            cfg=cfg,
            report=report,
            generator=torch.Generator().manual_seed(cfg.seed),
            everything=source_of(recording, cfg, recording.training_frames),
            frames=frames,
            few=frames.thinned(int(settings.search_frames * unknowns)),
            held_out=source_of(recording, cfg, recording.selection_frames(HELD_OUT_FRAMES)).read(),
            n_rows=settings.rows,
        )
        _refuse_silent(frames)
        return problem

    @property
    def settings(self) -> ClosedForm:
        """Settings of the closed form."""
        return self.cfg.closed_form

    @property
    def device(self) -> torch.device:
        """Device of the recording."""
        return self.recording.activity.device

    @property
    def plain(self) -> Bool[Tensor, " neuron"]:
        """Neurons without a hidden input."""
        plain = torch.ones(self.recording.n_neurons, dtype=torch.bool, device=self.device)
        if self.cfg.input == "field":
            sites: Any = self.recording.sites  # of a recording with a hidden input
            plain[sites.driven] = False
        return plain

    @property
    def one_group(self) -> Int[Tensor, " neuron"]:
        """Everyone in group 0."""
        return torch.zeros(self.recording.n_neurons, dtype=torch.long, device=self.device)

    @property
    def final(self) -> Equations:
        """Frames that rows of W are solved from in the end."""
        if self.every is None:
            return self.frames
        return self.everything.part(slice(None, None, self.every))

    @property
    def n_inputs(self) -> int:
        """Recorded inputs that are columns of every row."""
        return self.everything.n_own - self.everything.phi.n

    def spline(self, n: int) -> Spline:
        """A basis of n functions on the range of this activity."""
        return _spline(self.recording, n)

    def draw(self, allowed: Tensor | None = None, n: int | None = None) -> Int[Tensor, " row"]:
        """Rows that psi is found on: of neurons without a hidden input, if there are any."""
        plain = self.plain
        allowed = torch.ones_like(plain) if allowed is None else allowed
        if (allowed & plain).any():
            allowed = allowed & plain
        members = torch.nonzero(allowed.cpu())[:, 0]
        order = torch.randperm(len(members), generator=self.generator)
        return members[order[: n or self.n_rows]].sort().values.to(self.device)

    def for_noise(self, told: Diagnosis) -> "Problem":
        """With as many frames and rows as it takes to search psi in noise; itself if it has them.

        Args:
            told: of a first solution.
        """
        wanted = int(min(told.frames_for(FIRM), NOISY_FRAMES, len(self.everything)))
        if wanted < MORE * len(self.few):
            return self
        every = -(-len(self.everything) // wanted)
        chosen = self.recording.selection_frames(NOISY_HELD_OUT)
        return replace(
            self,
            few=self.everything.part(slice(None, None, every)),
            held_out=source_of(self.recording, self.cfg, chosen).read(),
            n_rows=self.n_rows * NOISY_ROWS,
        )

    def for_rows(self, told: Diagnosis) -> "Problem":
        """With as many final frames as it takes to know W; itself if it has them.

        Args:
            told: of the rows from the frames in memory.
        """
        enough = int(min(told.frames_for(ENOUGH), len(self.everything)))
        if enough < MORE * len(self.frames):
            return self
        return replace(self, every=len(self.everything) // enough)

    def freed(self, fit: Fit) -> "Problem":
        """Without the noise that states share with estimated rates; itself where there is none.

        Args:
            fit: psi, as far as it is known.
        """
        if not self.recording.shares_noise or self.cfg.input == "field":
            return self
        every = -(-len(self.everything) // NOISY_FRAMES)
        some = replace(self.everything.part(slice(None, None, every)), phi=fit.phi)
        return self.free_of(shared_noise(some, fit).kappa)

    def free_of(self, kappa: Float[Tensor, " neuron"]) -> "Problem":
        """The same, covariances of the noise of states and their rates known."""
        size = float(kappa.square().mean().sqrt())
        self.report("noise shared by state and rate", size=size)
        freed = self._changed(lambda equations: replace(equations, kappa=kappa))
        return replace(freed, shared_noise=size)

    def knowing(self, omega: KnottedInput) -> "Problem":
        """With an input that was found as if it were known."""
        n = self.recording.n_neurons

        def omega_at(times: Float[Tensor, " time"]) -> Float[Tensor, "time neuron"]:
            return omega.at(times, n)

        def known(equations: Equations) -> Equations:
            if isinstance(equations, Source):
                return replace(equations, omega_at=omega_at, mode=omega.mode)
            return replace(equations, omega=omega_at(equations.times), mode=omega.mode)

        return self._changed(known)

    def _changed(self, change: Callable[[Equations], Equations]) -> "Problem":
        """With the frames of all stages changed."""
        names = ("everything", "frames", "few", "held_out")
        changed: Any = {name: change(getattr(self, name)) for name in names}
        return replace(self, **changed)

    def scaling(self, drive_of: DriveOf) -> "Problem":
        """With what recorded inputs scale, if they are multiplicative, as far as it is known."""

        def known(equations: Equations) -> Equations:
            if isinstance(equations, Source):
                return replace(equations, drive_of=drive_of)
            inputs = self.inputs_at(equations.times)
            return replace(equations, drive=drive_of(equations.x), inputs=inputs)

        names = ("everything", "frames", "few", "held_out")
        changed: Any = {name: known(getattr(self, name)) for name in names}
        return replace(self, **changed)

    def which(self, equations: Equations) -> Int[Tensor, " frame"]:
        """Which frames of the recording some equations are of."""
        if isinstance(equations, Source):
            return equations.chosen
        return self._frames_at(equations.times)

    @property
    def n_series(self) -> int:
        """Recorded inputs."""
        series = self.recording.inputs
        return 0 if series is None else series.values.shape[1]

    def inputs_at(self, times: Float[Tensor, " frame"]) -> Float[Tensor, "frame input"]:
        """Recorded inputs at the times of some frames [tau]."""
        series: Any = self.recording.inputs
        return series.values.to(times.device)[self._frames_at(times)]

    def _frames_at(self, times: Float[Tensor, " frame"]) -> Int[Tensor, " frame"]:
        return (times.double() / self.recording.dt).round().long()


def _spline(recording: Recording, n: int) -> Spline:
    scales = recording.scales()
    return Spline(n, unit=scales.bend, reach=scales.reach)


def source_of(recording: Recording, cfg: Training, chosen: Int[Tensor, " frame"]) -> Source:
    """Frames of the recording, with their input if it is known."""
    phi = _spline(recording, cfg.closed_form.phi_basis)
    if cfg.input != "known":
        return Source(recording, chosen, phi)
    known: Any = recording.known_input
    return Source(recording, chosen, phi, known.of_all, known.mode)


def _refuse_silent(frames: Equations) -> None:
    parts = [part.rate.abs().sum(0) for part in frames.stretches(2 * frames.n_neurons)]
    silent = torch.nonzero(torch.stack(parts).sum(0) == 0)[:, 0]
    if len(silent):
        raise DivergenceError(
            f"the rate of neuron {int(silent[0])} is zero at all frames, so its row of W "
            "cannot be found; leave such neurons out of the recording"
        )
