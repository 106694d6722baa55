r"""The hidden input of an assembly as a coordinate network: :math:`\Omega^*(x, y, t)`.

SIREN: Sitzmann, Martel, Bergman, Lindell, Wetzstein, "Implicit neural representations with
periodic activation functions", NeurIPS 2020 (arXiv 2006.09661), section 3.2 and supplement 1.5.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ngpipe.config.assembly.inputs import Mode
from ngpipe.config.assembly.training import HiddenInput


@dataclass(frozen=True)
class Sites:
    """Neurons with an external input, and their positions."""

    driven: Int[Tensor, " site"]
    """Indices of the driven neurons."""
    position: Float[Tensor, "site 2"]
    """Their positions in the unit square."""
    n_neurons: int

    def to(self, device: torch.device) -> "Sites":
        """The same sites on another device."""
        return Sites(self.driven.to(device), self.position.to(device), self.n_neurons)

    def spread(self, values: Float[Tensor, "*batch site"], rest: float) -> Tensor:
        """Values of the driven neurons among those of all neurons, ``(*batch, neuron)``."""
        full = values.new_full((*values.shape[:-1], self.n_neurons), rest)
        return full.index_copy(-1, self.driven, values)


class Siren(nn.Module):
    r"""A network of sines: :math:`h \mapsto \sin(\omega_0 (W h + b))`, then one linear layer.

    Weights are uniform within :math:`1/n` in the first layer and within
    :math:`\sqrt{6/n}/\omega_0` in the others, n being a layer's inputs, so that the argument of
    every sine beyond the first layer has a standard deviation of 1. Biases are uniform within
    :math:`1/\sqrt{n}`.

    Shapes: ``(*shape, n_in)`` to ``(*shape)``.
    """

    def __init__(
        self,
        n_in: int,
        *,
        hidden: int,
        hidden_layers: int,
        omega_0: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.omega_0 = omega_0
        widths = [n_in, *[hidden] * hidden_layers, 1]
        layers = [nn.utils.skip_init(nn.Linear, a, b) for a, b in pairwise(widths)]
        self.layers = nn.ModuleList(layers)
        for k, layer in enumerate(layers):
            n = layer.in_features
            bound = 1 / n if k == 0 else math.sqrt(6 / n) / omega_0
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            nn.init.uniform_(layer.bias, -1 / math.sqrt(n), 1 / math.sqrt(n), generator=generator)

    def forward(self, coordinates: Tensor) -> Tensor:
        """Value of the network at each point."""
        hidden = coordinates
        for layer in self.layers[:-1]:
            hidden = torch.sin(self.omega_0 * layer(hidden))
        return self.layers[-1](hidden)[..., 0]


class Field(nn.Module):
    r"""Input of every neuron at any time, a SIREN over the sites of the driven ones.

    Multiplicative: :math:`\Omega = \exp(s(x, y, t))`, positive whatever the network says, and 1 for
    neurons that are not driven. Additive: :math:`\Omega = r s(x, y, t)`, r the unit of the rate,
    and 0. All three coordinates run from -1 to 1; time is multiplied by ``time_scale``, space by
    ``space_scale``.
    """

    driven: Tensor
    position: Tensor

    def __init__(
        self,
        cfg: HiddenInput,
        mode: Mode,
        sites: Sites,
        duration: float,
        rate: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.cfg, self.mode = cfg, mode
        self.duration, self.rate = duration, rate
        self.n_neurons = sites.n_neurons
        self.siren = Siren(
            3,
            hidden=cfg.hidden,
            hidden_layers=cfg.hidden_layers,
            omega_0=cfg.omega_0,
            generator=generator,
        )
        self.register_buffer("driven", sites.driven)
        self.register_buffer("position", sites.position)

    @property
    def rest(self) -> float:
        """Input of a neuron that is not driven."""
        return 1.0 if self.mode == "multiplicative" else 0.0

    @property
    def sites(self) -> Sites:
        """The driven neurons."""
        return Sites(self.driven, self.position, self.n_neurons)

    def forward(self, times: Float[Tensor, " time"]) -> Float[Tensor, "time site"]:
        """Input of the driven neurons at the given times [tau]."""
        sites = torch.arange(len(self.position), device=self.position.device)
        shape = (len(times), len(sites))
        value = self.siren(self.coordinates(sites.expand(shape), times[:, None].expand(shape)))
        return value.exp() if self.mode == "multiplicative" else self.rate * value

    def coordinates(
        self, sites: Int[Tensor, "*shape"], times: Float[Tensor, "*shape"]
    ) -> Float[Tensor, "*shape 3"]:
        """Input coordinates of the network for given sites, by number, at given times [tau]."""
        space = self.cfg.space_scale * (2 * self.position[sites] - 1)
        time = self.cfg.time_scale * (2 * times / self.duration - 1)
        return torch.cat([space, time[..., None]], dim=-1)

    def of_all(self, times: Float[Tensor, " time"]) -> Float[Tensor, "time neuron"]:
        """Input of all neurons at the given times [tau]."""
        return self.sites.spread(self(times), self.rest)
