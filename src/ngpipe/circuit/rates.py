r"""Rate neurons, stepped: threshold-linear, linear or saturating.

.. math:: \tau \dot x_i = -x_i + f\Big(\sum_j W_{ij} x_j + u_i(t)\Big)

with :math:`f(v) = \max(0, v)`, :math:`v` or :math:`M \tanh(\max(0, v) / M)`.
"""

from collections.abc import Callable
from itertools import islice

import torch
from jaxtyping import Float
from torch import Tensor

from ngpipe.arrays import Activity, Drift, PerNeuron, Rate
from ngpipe.config.circuit.impulse import Impulse
from ngpipe.config.circuit.rates import Neurons
from ngpipe.dynamics.integrate import euler_maruyama

Input = Callable[[float], PerNeuron]
"""Time [s] -> input of every neuron [1]."""

BLOCK = 256
"""Steps read at a time."""


def rate_drift(weights: Float[Tensor, "*run post pre"], given: Input, neurons: Neurons) -> Drift:
    """The rate of change of activity as a function of (t, x).

    Args:
        weights: W[post, pre] [1]; with a leading axis one network for each row of x.
        given: input of every neuron as a function of time.
        neurons: how they answer.
    """
    senders = weights.mT
    if weights.ndim == 2:
        return lambda t, x: (neurons(x @ senders + given(t)) - x) / neurons.tau

    def each(t: float, x: Activity) -> Rate:
        # As rows: torch multiplies a batch of columns six times slower.
        received = torch.baddbmm(given(t), x.unsqueeze(1), senders).squeeze(1)
        return (neurons(received) - x) / neurons.tau

    return each


def pulse(impulse: Impulse, n_exc: int, weights: Tensor) -> Input:
    """The pulse as the input of a network: to its first ``n_exc`` neurons, the excitatory ones."""
    off = weights.new_zeros(weights.shape[-1])
    on = off.clone()
    on[:n_exc] = impulse.strength
    return lambda t: on if impulse.is_on(t) else off


def step(
    drift: Drift, x0: Activity, *, dt: float, n_steps: int, first: int, readout: Tensor
) -> Float[Tensor, "run time read"]:
    """Read-outs of each step from ``first`` on, where activity is ``x0``.

    A network that diverges is followed to infinity: that is a result here, not an error.

    Args:
        drift: f(t, x), with one row of x for each run.
        x0: activity at step ``first``, shape ``(run, neuron)``.
        dt: step [s].
        n_steps: number of the step to stop before.
        first: number of the first one.
        readout: weights of the readings, shape ``(neuron, read)``.
    """
    states = islice(euler_maruyama(drift, x0, dt=dt, first=first), n_steps - first)
    parts = []
    while part := [x for x, _ in islice(states, BLOCK)]:
        parts.append(torch.stack(part, dim=1) @ readout)
    return torch.cat(parts, dim=1)
