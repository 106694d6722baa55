"""Gradient solver: Adam on mini-batches of frames, with a loop one can read.

The paper's method (arXiv 2602.13325, methods), made dense: psi* is evaluated once per sender and
not once per edge, phi* and psi* are read from tables of their own networks, the loss is the mean
square and not its root, and frames are held out to choose the model.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ngpipe.arrays import Connectivity
from ngpipe.assembly import gauge
from ngpipe.assembly.field import Field
from ngpipe.assembly.fitted_input import FittedInput
from ngpipe.assembly.gnn import AssemblyGNN, Scales
from ngpipe.assembly.knots import Knots
from ngpipe.assembly.known_input import KnownInput
from ngpipe.assembly.objective import fit, penalties
from ngpipe.assembly.recording import Recording
from ngpipe.config.assembly.training import Training
from ngpipe.errors import DivergenceError

SELECTION_FRAMES = 200
WHITENING_FRAMES = 8_000


@dataclass
class Progress:
    """Report of a finished stretch of training."""

    step: int
    terms: dict[str, float]
    """Named terms of the loss at this step."""
    held_out_loss: float | None = None
    """Mean squared error on held-out frames; None between two evaluations."""


@dataclass
class Best:
    """The model with the lowest held-out loss so far."""

    loss: float = math.inf
    step: int = -1
    state: dict[str, Tensor] = field(default_factory=dict)


class Trainer:
    """Training of one model: advance, stop, save, resume, with the same result as unbroken.

    Args:
        recording: activity and targets, on the device to train on.
        cfg: the training section of the config.
    """

    def __init__(self, recording: Recording, cfg: Training) -> None:
        self.recording, self.cfg = recording, cfg
        self.device = recording.activity.device
        self.generator = torch.Generator().manual_seed(cfg.seed)
        scales = recording.scales()
        self.model = build(recording, cfg, self.generator, scales)
        self.model.to(self.device)
        knots: dict[str, Any] = {"unit": scales.bend, "reach": scales.reach, "device": self.device}
        self.phi_knots = Knots(cfg.network.phi_knots, **knots)
        self.psi_knots = Knots(cfg.network.psi_knots, **knots)
        rate = cfg.learning_rate
        self.optimizer = torch.optim.Adam(
            [
                {"params": [self.model.V], "peak": rate.connectivity},
                {"params": self._function_parameters(), "peak": rate.functions},
                {"params": [self.model.latent], "peak": rate.latent},
                {"params": self._field_parameters(), "peak": rate.field},
            ],
            betas=(0.9, cfg.second_moment),
            fused=True,
        )
        self.steps = 0 if cfg.solver == "closed_form" else cfg.steps
        self.step = 0
        self.best = Best()
        # After a closed form, `adopt` does it for what was found.
        if cfg.conditioning == "whitened" and cfg.solver == "gradient":
            self.whiten()

    def run(self) -> Iterator[Progress]:
        """Train to the end; yields at every logged step and at every evaluation."""
        while self.step < self.steps:
            terms = self.advance()
            if self.evaluation_due():
                yield Progress(self.step, _numbers(terms), self.evaluate())
            elif self.step % self.cfg.log_every == 0:
                yield Progress(self.step, _numbers(terms))

    def advance(self) -> dict[str, Tensor]:
        """One optimiser step; returns the terms of the loss before it.

        Raises:
            DivergenceError: the loss is not finite.
        """
        if self.cfg.conditioning == "whitened" and self.step in self._whitening_steps():
            self.whiten()
        rate = step_size(self.step, self.cfg)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * rate
        terms = self.terms()
        loss = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(loss):
            raise DivergenceError(
                f"the loss is {float(loss.detach())} at step {self.step}: {_numbers(terms)}; lower "
                "training.learning_rate, or check the recording for values that are not finite"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.step += 1
        return terms

    @torch.no_grad()
    def whiten(self) -> None:
        r"""Change to coordinates V of W = V P in which psi of the senders is white.

        C, in :math:`P = (C + \lambda)^{-1/2}`, is the second moment of psi* as it is now, over the
        receivers' mean: all directions of the recording are then learned at the same pace. Adam
        goes on with no momentum in V and with the mean of each row's squared gradients.
        """
        x = self.recording.activity[self.recording.training_sample(WHITENING_FRAMES)]
        sent = self.psi_knots.locate(x)
        tables = self._psi_table()
        if self.model.gates is not None:
            gates = self.model.gates(self.model.latent)
            moment = gates.T @ gates / len(gates)
            values, vectors = torch.linalg.eigh(moment.double())
            tables = tables @ (vectors * values.clamp_min(0).sqrt()).float()
        second_moment = x.new_zeros(x.shape[1], x.shape[1], dtype=torch.float64)
        for table in tables.unbind(-1):
            firing = sent.read(table)
            second_moment += (firing.T @ firing / len(firing)).double()
        weights = self.model.V @ self.model.basis
        root, inverse_root = roots(second_moment, self.cfg.whitening_ridge)
        self.model.V.copy_(weights @ root)
        self.model.basis.copy_(inverse_root)
        state = self.optimizer.state.get(self.model.V)
        if state:
            state["exp_avg"].zero_()
            squared = state["exp_avg_sq"]
            squared.copy_(squared.mean(1, keepdim=True).expand_as(squared))

    def _whitening_steps(self) -> set[int]:
        return {int(share * self.cfg.steps) for share in self.cfg.whitening_updates}

    def adopt(self) -> Progress:
        """Take the model as it is now, found by another solver, for the start and the best."""
        if self.cfg.conditioning == "whitened" and self.steps:
            self.whiten()
        loss = self.evaluate()
        return Progress(self.step, {"fit": loss}, loss)

    def evaluation_due(self) -> bool:
        """True if held-out loss is measured after the step just taken."""
        n, total = self.cfg.evaluations, self.cfg.steps
        return self.step * n // total > (self.step - 1) * n // total

    def finish(self) -> AssemblyGNN:
        """The model chosen on held-out frames, its basis folded into W."""
        self.model.load_state_dict(self.best.state)
        self.model.fold()
        return self.model

    def connectivity(self) -> Connectivity:
        """W of the model in training, in the fixed gauge as far as it needs no types [1/tau]."""
        one_type = torch.zeros(self.model.n_neurons, dtype=torch.long, device=self.device)
        fixed = gauge.scales(self.model, self.recording, one_type, smooth=False)
        return self.model.connectivity.detach() * fixed.connectivity

    def state_dict(self) -> dict[str, object]:
        """All that a later process needs to go on as if never interrupted."""
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "best": vars(self.best),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state saved by :meth:`state_dict`."""
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        self.best = Best(**state["best"])

    def terms(self) -> dict[str, Tensor]:
        """Terms of the loss on a new batch: the fit, and penalties by name."""
        frames, omega = self.draw()
        x, target = self.recording.batch(frames)
        psi_table = self._psi_table()
        phi = self.phi_knots.locate(x).read(self._phi_table())
        located = self.psi_knots.locate(x)
        sent = [located.read(table) for table in psi_table.unbind(-1)]
        predicted = self.model.combine(phi, torch.stack(sent, -1), omega)
        return {
            "fit": fit(predicted, target, self.model.scales.rate),
            **penalties(self.model, self._own_psi(psi_table), self.cfg.penalties),
        }

    def draw(self) -> tuple[Tensor, Tensor | None]:
        """Frames of a batch, and the input of all neurons at each.

        A field is evaluated at both ends of a few windows, is linear between, and the frames lie
        in these windows. A window ends where a stretch of the recording does.
        """
        known = self.recording.training_frames
        if not isinstance(self.model.external, Field):
            draw = torch.randint(len(known), (self.cfg.batch_frames,), generator=self.generator)
            frames = known[draw].to(self.device)
            return frames, self.model.omega(self.recording.times(frames))
        n, length = self.cfg.field.windows, min(self.cfg.field.window_frames, len(known))
        start = torch.randint(len(known) - length + 1, (n, 1), generator=self.generator)
        each = self.cfg.batch_frames // n
        last = (start + length - 1).minimum(self.recording.training_ends[start])
        ahead = torch.randint(length, (n, each), generator=self.generator) % (last - start + 1)
        frames, ends = known[start + ahead], known[torch.cat([start, last], 1)]
        between = (ends[:, 1:] - ends[:, :1]).clamp_min(1)
        share = ((frames - ends[:, :1]) / between).to(self.device)
        times = self.recording.times(ends.flatten().to(self.device))
        low, high = self.model.external(times).unflatten(0, (n, 2)).unbind(1)
        field = torch.lerp(low[:, None], high[:, None], share[..., None]).flatten(0, 1)
        omega = self.model.external.sites.spread(field, self.model.external.rest)
        return frames.flatten().to(self.device), omega

    def _phi_table(self) -> Tensor:
        x = self.phi_knots.x[None, :]
        return self.model.phi(x, self.model.latent[:, None, :])[..., 0]

    def _psi_table(self) -> Tensor:
        """v_k of every neuron on the knots: ``(neuron or 1, knot, k)``."""
        x = self.psi_knots.x[None, :]
        if self.model.sees in ("sender", "pair"):
            return self.model.psi(x, self.model.latent[:, None, :])
        return self.model.psi(x).expand(self.recording.n_neurons, -1, -1)

    def _own_psi(self, table: Tensor) -> Tensor:
        """psi*(a_i, a_i, x) of every neuron on the knots: ``(neuron, knot)``."""
        if self.model.gates is None:
            return table[..., 0]
        return (table * self.model.gates(self.model.latent)[:, None, :]).sum(-1)

    def _function_parameters(self) -> list[Tensor]:
        gates = self.model.gates.parameters() if self.model.gates is not None else ()
        return [*self.model.phi.parameters(), *self.model.psi.parameters(), *gates]

    def _field_parameters(self) -> list[Tensor]:
        external = self.model.external
        return list(external.parameters()) if isinstance(external, Field) else []

    @torch.no_grad()
    def evaluate(self) -> float:
        """Held-out loss with exact evaluation; keeps the model if it is the best so far."""
        frames = self.recording.selection_frames(SELECTION_FRAMES).to(self.device)
        x, target = self.recording.batch(frames)
        predicted = self.model(self.recording.times(frames), self.recording.filled(x))
        if self.recording.sessions is not None:
            seen = ~target.isnan()
            predicted, target = predicted[seen], target[seen]
        loss = float(fit(predicted, target, self.model.scales.rate))
        if loss < self.best.loss:
            state = {name: value.clone() for name, value in self.model.state_dict().items()}
            self.best = Best(loss, self.step, state)
        return loss


def build(
    recording: Recording, cfg: Training, generator: torch.Generator, scales: Scales
) -> AssemblyGNN:
    """An untrained model, its input learned, given, or none, as the config says.

    Args:
        recording: number of neurons, and who is driven.
        cfg: the training section of the config.
        generator: source of the initial parameters.
        scales: units of activity and rate.
    """
    external: Field | KnownInput | FittedInput | None = None
    if cfg.input == "known":
        external = recording.known_input
    if cfg.input == "fitted":
        series: Any = recording.inputs  # a recording with fitted inputs has them
        external = FittedInput(series, recording.n_neurons, recording.dt)
    if cfg.input == "field":
        driven: Any = recording.sites  # a recording with a hidden input has them
        sites = driven.to(torch.device("cpu"))
        external = Field(
            cfg.field, cfg.input_mode, sites, recording.duration, scales.rate, generator
        )
    return AssemblyGNN(recording.n_neurons, cfg.network, scales, external, generator)


def step_size(step: int, cfg: Training) -> float:
    """Step size relative to its peak: linear warm-up, cosine decay to ``final_rate``."""
    done = step / cfg.steps
    rise = min(1.0, (done + 1 / cfg.steps) / cfg.warm_up)
    decay = 0.5 * (1 + math.cos(math.pi * done))
    return max(rise * decay, cfg.final_rate)


def roots(
    second_moment: Float[Tensor, "neuron neuron"], ridge: float
) -> tuple[Float[Tensor, "neuron neuron"], Float[Tensor, "neuron neuron"]]:
    r"""Symmetric :math:`(C / \bar c + \lambda)^{1/2}` and its inverse, c the mean diagonal of C."""
    values, vectors = torch.linalg.eigh(second_moment / second_moment.diagonal().mean())
    root = (values.clamp_min(0) + ridge).sqrt()
    return ((vectors * root) @ vectors.T).float(), ((vectors / root) @ vectors.T).float()


def _numbers(terms: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(value.detach()) for name, value in terms.items()}
