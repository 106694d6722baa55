"""Models with random parameters, and exact transformations of them, for the tests."""

import torch
from torch import Tensor, nn

from ngpipe.assembly.field import Field, Sites
from ngpipe.assembly.gnn import AssemblyGNN, Scales
from ngpipe.assembly.known_input import KnownInput
from ngpipe.config.assembly.training import HiddenInput, Network

SCALES = Scales(activity=4.0, reach=20.0, rate=3.0)
SEES = ["activity", "sender", "receiver", "pair"]
INPUTS = [None, "multiplicative", "additive", "known multiplicative", "known additive"]
DURATION = 4.0
FIELD = HiddenInput(hidden=16, hidden_layers=2, omega_0=5.0)


def numbers(seed: int, *shape: int) -> Tensor:
    """Normal random numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def sites_of(n: int, seed: int = 0) -> Sites:
    """About half of the neurons, in no order, anywhere in the unit square."""
    generator = torch.Generator().manual_seed(seed)
    driven = torch.randperm(n, generator=generator)[: (n + 1) // 2]
    return Sites(driven, torch.rand(len(driven), 2, generator=generator), n)


def grid_sites(side: int, n: int) -> Sites:
    """The first neurons on a square grid of cell centres."""
    centres = (torch.arange(side) + 0.5) / side
    position = torch.cartesian_prod(centres, centres)
    return Sites(torch.arange(side**2), position, n)


def random_field(mode: str, sites: Sites, seed: int = 0, cfg: HiddenInput = FIELD) -> Field:
    """A field of some strength at every site and time."""
    field = Field(cfg, mode, sites, DURATION, SCALES.rate, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        field.siren.layers[-1].weight.copy_(0.3 * numbers(seed + 1, 1, cfg.hidden))
    return field


def random_input(kind: str | None, n: int, seed: int = 0) -> nn.Module | None:
    """A learned or a known input of any mode."""
    if kind is None:
        return None
    if not kind.startswith("known"):
        return random_field(kind, sites_of(n, seed), seed)
    image = torch.linspace(0, 8, 400)
    return KnownInput(1 + 0.3 * numbers(seed, 9, n), image, DURATION / 400, kind.split()[1])


def random_model(
    n: int, sees: str = "activity", external: nn.Module | None = None, *, seed: int = 0
) -> AssemblyGNN:
    """No parameter is at its start, and the basis mixes all senders."""
    generator = torch.Generator().manual_seed(seed)
    network = Network(hidden=16, psi_sees=sees, receiver_rank=3)
    model = AssemblyGNN(n, network, SCALES, external, generator)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.startswith("external"):
                parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
        basis = torch.randn(n, n, generator=generator)
        model.basis.copy_(basis @ basis.T / n + torch.eye(n))
    return model


def edgewise(model: AssemblyGNN, t: float, x: Tensor) -> Tensor:
    """The published formula for one frame, edge by edge."""
    a, weights, rate = model.latent, model.connectivity, torch.zeros_like(x)
    omega = None if model.external is None else model.external.of_all(torch.tensor([t]))[0]
    for i in range(len(x)):
        rate[i] = model.phi_curves(x[i : i + 1])[i, 0]
        message = torch.zeros(())
        for j in range(len(x)):
            if i != j:
                psi = model.psi_curves(a[i : i + 1], a[j : j + 1], x[None, j : j + 1])[0, 0]
                message = message + weights[i, j] * psi
        if model.mode == "multiplicative":
            message = message * omega[i]
        rate[i] = rate[i] + message
        if model.mode == "additive":
            rate[i] = rate[i] + omega[i]
    return rate


class Gauged(Field):
    """A field whose sites have been rescaled or shifted, each by its own constant."""

    def __init__(self, field: Field, factor: Tensor, shift: Tensor) -> None:
        nn.Module.__init__(self)
        self.__dict__.update({k: v for k, v in vars(field).items() if not k.startswith("_")})
        self.siren = field.siren
        self.register_buffer("driven", field.driven)
        self.register_buffer("position", field.position)
        self.factor, self.shift = factor, shift

    def forward(self, times: Tensor) -> Tensor:
        return super().forward(times) * self.factor + self.shift


class Scaled(nn.Module):
    """A network whose outputs are multiplied by s(a) = exp(a . c), exactly, and shifted."""

    def __init__(self, network: nn.Module, direction: Tensor, factor: float = 1.0) -> None:
        super().__init__()
        self.network, self.direction, self.factor = network, direction, factor

    def scale(self, latent: Tensor) -> Tensor:
        return self.factor * (latent @ self.direction).exp()


class ScaledPsi(Scaled):
    def forward(self, x: Tensor, latent: Tensor | None = None) -> Tensor:
        scale = self.factor if latent is None else self.scale(latent)[..., None]
        return self.network(x, latent) * scale


class ScaledGates(Scaled):
    def forward(self, latent: Tensor) -> Tensor:
        return self.network(latent) * self.scale(latent)[:, None]


class ShiftedPhi(nn.Module):
    """phi of every neuron plus a constant of its own [units of the rate].

    ``shift`` is looked up by the latent, which names the neuron.
    """

    def __init__(self, network: nn.Module, latent: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.network, self.latent, self.shift = network, latent.detach().clone(), shift

    def forward(self, x: Tensor, latent: Tensor) -> Tensor:
        distance = (latent[..., None, :] - self.latent).abs().sum(-1)
        return self.network(x, latent) + self.shift[distance.argmin(-1)][..., None]
