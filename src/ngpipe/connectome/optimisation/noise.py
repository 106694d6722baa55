r"""Synapse noise: every weight times a random factor above 0, so that signs stay.

.. math::
    W'_{ij} = W_{ij} \exp(\sigma z_{ij} - \sigma^2 / 2), \qquad
    \sigma^2 = \ln(1 + s^2), \qquad z_{ij} \sim N(0, 1)

The factor is lognormal with mean 1 and standard deviation s. Edges that divide have one too.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn
from torch.func import functional_call

from ngpipe.connectome.groups import check_count
from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.connectome.schedule import Schedule
from ngpipe.connectome.step import State
from ngpipe.errors import ArgumentError

Draw = Mapping[str, Tensor]
"""Standard normal numbers: of the ``edges`` of W, and of those that divide."""


class SynapseNoise:
    """Draws noise for the synapses of a network, and runs it with them; the network stays."""

    def __init__(self, network: MultilayeredNetwork, generator: torch.Generator) -> None:
        self.generator = generator
        self._running = _Running(network)
        # Edges of the transpose are sorted by pre, then post: those of W, stably sorted by pre.
        self._turned = torch.argsort(network.w_columns, stable=True)

    def draw(self) -> Draw:
        """Fresh numbers."""
        network = self._running.network
        counts = {"edges": len(network.w_values)}
        if network.divisive_strength is not None:
            counts["divisive"] = len(network.divnorm_weights)
        device = self.generator.device
        return {
            name: torch.randn(n, generator=self.generator, device=device).to(network.w_values)
            for name, n in counts.items()
        }

    def run(self, draw: Draw, size: float, *args: Any, **options: Any) -> list[State]:  # noqa: ANN401
        """Layers of :meth:`MultilayeredNetwork.run` under noise of a relative size."""
        network, sigma = self._running.network, math.sqrt(math.log1p(size**2))
        factor = {name: (sigma * z - sigma**2 / 2).exp() for name, z in draw.items()}
        values = network.w_values * factor["edges"]
        noisy = {"w_values": values, "wt_values": values[self._turned]}
        if "divisive" in factor:
            noisy["divnorm_weights"] = network.divnorm_weights * factor["divisive"]
        buffers = {f"network.{name}": tensor for name, tensor in noisy.items()}
        return functional_call(self._running, buffers, args, options)


class _Running(nn.Module):
    """``run`` as ``forward``, which is what torch calls with other buffers."""

    def __init__(self, network: MultilayeredNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, *args: Any, **options: Any) -> list[State]:  # noqa: ANN401
        return self.network.run(*args, **options)


@torch.no_grad()
def robustness(
    network: MultilayeredNetwork,
    stimulus: Any,  # noqa: ANN401
    objective: Callable[[Sequence[State]], Tensor],
    noise: Iterable[float],
    draws: int,
    generator: torch.Generator,
    schedule: Schedule | None = None,
) -> xr.DataArray:
    """Value of an objective under synapse noise.

    Args:
        network: the network.
        stimulus: ``(sample, sensor, time)`` or ``(sensor, time)``: array, tensor or DataArray.
        objective: see :mod:`ngpipe.connectome.optimisation.objectives`.
        noise: relative sizes, see :mod:`ngpipe.connectome.optimisation.noise`.
        draws: how often synapses are drawn. Each draw has the same z at all sizes.
        generator: source of the draws.
        schedule: interventions.

    Returns:
        The objective, ``(noise, draw, sample)``.

    Raises:
        ArgumentError: a stimulus that does not fit, a size below 0, no draws.
    """
    sizes = [check_size("noise", size) for size in noise]
    given = stimulus.to_numpy() if isinstance(stimulus, xr.DataArray) else stimulus
    batch, _ = network.as_inputs(given)
    changes, synapses = network.changes(schedule, len(batch)), SynapseNoise(network, generator)
    values = np.empty((len(sizes), check_count("draws", draws, 1), len(batch)))
    for draw in range(draws):
        z = synapses.draw()
        for k, size in enumerate(sizes):
            values[k, draw] = objective(synapses.run(z, size, batch, changes)).cpu().numpy()
    return xr.DataArray(
        values,
        {"noise": ("noise", sizes, {"long_name": "relative synapse noise", "units": "1"})},
        ("noise", "draw", "sample"),
        "objective",
        {"long_name": "objective under synapse noise", "units": "1"},
    )


def check_size(name: str, size: float) -> float:
    """A relative size of noise.

    Raises:
        ArgumentError: it is below 0 or not finite.
    """
    if not (math.isfinite(size) and size >= 0):
        raise ArgumentError(f"{name} is {size}, expected a relative size of at least 0")
    return float(size)
