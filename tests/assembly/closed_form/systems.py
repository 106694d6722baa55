"""Small systems whose answer is known, for the tests of the closed form."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from ngpipe.assembly.closed_form.accumulate import gram_moment, solve_rows
from ngpipe.assembly.closed_form.chosen_frames import Frames, Transfer
from ngpipe.assembly.closed_form.rows import Gram
from ngpipe.assembly.closed_form.solution import Solution
from ngpipe.assembly.closed_form.solve import ClosedForm
from ngpipe.assembly.closed_form.spline import Spline
from ngpipe.assembly.recording import Recording
from ngpipe.config.assembly.simulation import Simulation
from ngpipe.config.assembly.training import Training
from ngpipe.dynamics import assembly
from ngpipe.dynamics.integrate import blocks, euler_maruyama
from ngpipe.wiring.ensembles import weights

TYPES = {
    "activity": [{"leak": 1}, {"leak": 2}],
    "sender": [{"leak": 1}, {"leak": 2, "sender_width": 3}],
    "receiver": [{"receiver_width": 1}, {"receiver_width": 4}],
}
"""Two types of neurons for everything that a psi can see; receivers differ in nothing else."""
SMALL = {"search_frames": 2.5, "frames": 8}
"""Few neurons: a row has 32 to 48 unknowns of its phi beside those of W."""
COARSE = {"psi_basis": 16, "phi_basis": 8, "fine_basis": 16, "ridges": (1e-4, 1e-8)}
"""Enough for a tanh under noise, at a third of the time."""


def numbers(seed: int, *shape: int) -> Tensor:
    """Normal random numbers in double precision."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def silent(stage: str, **reached: float | Tensor) -> None:
    """A report that nobody reads."""


@dataclass(frozen=True)
class System:
    """A simulated recording and the truth about it."""

    recording: Recording
    weights: Tensor
    types: np.ndarray
    constants: assembly.Constants

    @property
    def n(self) -> int:
        return len(self.weights)

    def phi(self, x: Tensor) -> Tensor:
        """True phi of every neuron on its own grid: ``(neuron, x)``."""
        return assembly.phi(x.T, self.constants).T

    def psi(self, receivers: Tensor, senders: Tensor, x: Tensor) -> Tensor:
        """True psi of pairs of neurons on a grid each: ``(pair, x)``."""
        c = self.constants
        width = c.sender_width[senders] * c.receiver_width[receivers]
        return torch.tanh(x / width[:, None])


@cache
def simulated(sees: str, n: int = 50, n_frames: int = 4000, seed: int = 42) -> System:
    """Noisy activity of an assembly, in memory."""
    cfg = Simulation(n_neurons=n, n_frames=n_frames, types=TYPES[sees], noise=1.0, seed=seed)
    types = assembly.type_of_neuron(cfg)
    constants = assembly.constants_of(cfg.types, types)
    coupling = torch.from_numpy(10 * weights(cfg.connectivity, n))
    generator = torch.Generator().manual_seed(seed)
    frames = euler_maruyama(
        assembly.assembly_drift(coupling, constants),
        5 * torch.randn(n, generator=generator),
        dt=cfg.dt,
        noise=cfg.noise / cfg.dt**0.5,
        generator=generator,
    )
    _, x, rate = next(blocks(frames, n_frames, length=n_frames))
    recording = Recording(x, rate, cfg.dt, held_out=0.1, in_blocks=True)
    return System(recording, coupling.double(), types, constants)


def training(sees: str, seed: int = 16, hidden: int = 64, **closed_form: object) -> Training:
    """The training section of a config, with settings for few neurons."""
    return Training(
        solver="closed_form",
        seed=seed,
        network={"psi_sees": sees, "hidden": hidden},
        closed_form={**SMALL, **closed_form},
    )


@cache
def solved(sees: str) -> Solution:
    """What the closed form finds with its own settings; shared, so not to be changed."""
    return ClosedForm(simulated(sees).recording, training(sees), silent).solve()


def fitted(frames: Frames, transfer: Transfer, rows: Tensor, ridge: float) -> dict[str, Tensor]:
    """W, own coefficients and mean squares of some rows, all blocks joined, and who they are."""
    gram = Gram(gram_moment(frames, transfer), ridge)
    blocks = [(block, normal.solve()) for block, normal in solve_rows(frames, transfer, rows, gram)]
    joined = {
        name: torch.cat([getattr(fit, name) for _, fit in blocks])
        for name in ("weights", "own", "mean_square")
    }
    return {"blocks": [block.tolist() for block, _ in blocks], **joined}


def r2(found: Tensor, true: Tensor) -> float:
    """Squared correlation of the entries off the diagonal."""
    off = ~torch.eye(len(true), dtype=torch.bool)
    return float(torch.corrcoef(torch.stack([found[off], true[off]]))[0, 1] ** 2)


def rescaled(found: Tensor, true: Tensor, post: Tensor, pre: Tensor) -> Tensor:
    """W with the scale that is free for every pair of groups chosen as in the truth."""
    out = torch.zeros_like(found)
    for i in post.unique():
        for j in pre.unique():
            block = (post[:, None] == i) & (pre[None, :] == j)
            f, t = found[block], true[block]
            out[block] = f * (f @ t) / (f @ f)
    return out


@dataclass(frozen=True)
class Exact:
    """Random activity, and rates that obey the model with functions that lie in the bases."""

    frames: Frames
    transfer: Transfer
    weights: Tensor
    phi: Tensor

    def other(self, seed: int, n_frames: int, noise: float = 0.0) -> Frames:
        """More frames of the same system."""
        x = 2 * numbers(seed, n_frames, len(self.weights))
        rate = self.frames.phi.read(self.phi, x) + self.transfer.sent(x) @ self.weights.T
        rate = rate + noise * numbers(seed + 1, *x.shape)
        return Frames(x, rate, self.frames.phi, torch.arange(float(n_frames)))


def exact(groups: int = 1, *, n: int = 16, n_frames: int = 1500, noise: float = 0.0) -> Exact:
    """A system without dynamics; the psi of different groups bend at different activities."""
    axis = {"unit": 0.5, "reach": 9.0}
    psi, phi = Spline(12, **axis), Spline(10, **axis)
    zero = torch.zeros((), dtype=torch.float64)
    bends = [1.0, 3.0, 0.4][:groups]
    coefficients = torch.stack(
        [psi.fit(lambda x, b=b: torch.tanh(x / b) + 0.05 * x, like=zero) for b in bends]
    )
    transfer = Transfer(psi, coefficients, torch.arange(n) % groups)
    w = numbers(1, n, n).fill_diagonal_(0)
    empty = Frames(torch.zeros(1, n), torch.zeros(1, n), phi, torch.zeros(1))
    system = Exact(empty, transfer, w, numbers(2, n, phi.n))
    return Exact(system.other(5, n_frames, noise), transfer, w, system.phi)
