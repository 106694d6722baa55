"""Gradient solver: Adam on mini-batches of frames, with a loop one can read.

The paper's method (arXiv 2602.13325, methods), made dense: psi* is evaluated once per sender and
not once per edge, phi* and psi* are read from tables of their own networks, the loss is the mean
square and not its root, and frames at the end are held out to choose the model.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ngpipe.arrays import Connectivity
from ngpipe.assembly.gnn import AssemblyGNN
from ngpipe.assembly.knots import Knots
from ngpipe.assembly.objective import fit, penalties
from ngpipe.assembly.recording import Recording
from ngpipe.config.training import Training
from ngpipe.errors import DivergenceError

SELECTION_FRAMES = 200
WHITENING_FRAMES = 8_000


@dataclass
class Progress:
    """What a finished stretch of training tells its caller."""

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
        self.model = AssemblyGNN(recording.n_neurons, cfg.network, scales, self.generator)
        if cfg.conditioning == "whitened":
            self.model.basis.copy_(whitening(recording, scales.bend, cfg.whitening_ridge))
        self.model.to(self.device)
        knots = {"unit": scales.bend, "reach": scales.reach, "device": self.device}
        self.phi_knots = Knots(cfg.network.phi_knots, **knots)
        self.psi_knots = Knots(cfg.network.psi_knots, **knots)
        rate = cfg.learning_rate
        self.optimizer = torch.optim.Adam(
            [
                {"params": [self.model.V], "peak": rate.connectivity},
                {"params": self._function_parameters(), "peak": rate.functions},
                {"params": [self.model.latent], "peak": rate.latent},
            ],
            betas=(0.9, cfg.second_moment),
            fused=True,
        )
        self.step = 0
        self.best = Best()

    def run(self) -> Iterator[Progress]:
        """Train to the end; yields at every logged step and at every evaluation."""
        while self.step < self.cfg.steps:
            terms = self.advance()
            if self.evaluation_due():
                yield Progress(self.step, _numbers(terms), self._evaluate())
            elif self.step % self.cfg.log_every == 0:
                yield Progress(self.step, _numbers(terms))

    def advance(self) -> dict[str, Tensor]:
        """One optimiser step; returns the terms of the loss before it.

        Raises:
            DivergenceError: the loss is not finite.
        """
        rate = step_size(self.step, self.cfg)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * rate
        terms = self._terms()
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

    def evaluation_due(self) -> bool:
        """Whether held-out loss is measured after the step just taken."""
        n, total = self.cfg.evaluations, self.cfg.steps
        return self.step * n // total > (self.step - 1) * n // total

    def finish(self) -> AssemblyGNN:
        """The model chosen on held-out frames, its basis folded into W."""
        self.model.load_state_dict(self.best.state)
        self.model.fold()
        return self.model

    def connectivity(self) -> Connectivity:
        """W of the model in training [1/tau]."""
        return self.model.connectivity.detach()

    def state_dict(self) -> dict[str, object]:
        """All that a later process needs to go on as if never interrupted."""
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "best": vars(self.best),
        }

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Take up a state saved by :meth:`state_dict`."""
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        self.best = Best(**state["best"])

    def _terms(self) -> dict[str, Tensor]:
        frames = torch.randint(
            self.recording.n_training, (self.cfg.batch_frames,), generator=self.generator
        )
        x, target = self.recording.batch(frames.to(self.device))
        psi_table = self.model.psi(self.psi_knots.x)
        phi = self.phi_knots.locate(x).read(self._phi_table())
        psi = self.psi_knots.locate(x).read(psi_table.expand(self.recording.n_neurons, -1))
        predicted = self.model.combine(phi, psi)
        return {
            "fit": fit(predicted, target, self.model.scales.rate),
            **penalties(self.model, psi_table, self.cfg.penalties),
        }

    def _phi_table(self) -> Tensor:
        return self.model.phi(self.phi_knots.x[None, :], self.model.latent[:, None, :])

    def _function_parameters(self) -> list[Tensor]:
        return [*self.model.phi.parameters(), *self.model.psi.parameters()]

    @torch.no_grad()
    def _evaluate(self) -> float:
        """Held-out loss with exact evaluation; keeps the model if it is the best so far."""
        frames = self.recording.selection_frames(SELECTION_FRAMES).to(self.device)
        x, target = self.recording.batch(frames)
        loss = float(fit(self.model(0.0, x), target, self.model.scales.rate))
        if loss < self.best.loss:
            state = {name: value.clone() for name, value in self.model.state_dict().items()}
            self.best = Best(loss, self.step, state)
        return loss


def step_size(step: int, cfg: Training) -> float:
    """Step size relative to its peak: linear warm-up, cosine decay to ``final_rate``."""
    done = step / cfg.steps
    rise = min(1.0, (done + 1 / cfg.steps) / cfg.warm_up)
    decay = 0.5 * (1 + math.cos(math.pi * done))
    return max(rise * decay, cfg.final_rate)


def whitening(recording: Recording, bend: float, ridge: float) -> Tensor:
    r"""Symmetric P with :math:`P = (C + \lambda)^{-1/2}`, C the senders' second moment.

    C is that of tanh(x / bend), a stand-in for the psi that is not known yet: in the coordinates
    V of W = V P all directions of the recording are learned at the same pace.

    Args:
        recording: source of the frames.
        bend: activity at which a typical transfer function bends.
        ridge: lambda, relative to the mean eigenvalue of C.
    """
    x = recording.activity[recording.training_sample(WHITENING_FRAMES)]
    firing = torch.tanh(x / bend)
    second_moment = (firing.T @ firing / len(firing)).double()
    values, vectors = torch.linalg.eigh(second_moment / second_moment.diagonal().mean())
    scaled = vectors * (values.clamp_min(0) + ridge).rsqrt()
    return (scaled @ vectors.T).float()


def _numbers(terms: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(value.detach()) for name, value in terms.items()}
