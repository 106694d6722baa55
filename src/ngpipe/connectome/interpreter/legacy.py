r"""Responses of connectome_interpreter before it had a leak, under the names of its head.

Activity persists in what is summed up, by a share tau between 0 and 1:

.. math:: y_i = \tanh([z_i \ge \theta] z_i), \qquad
    z_i = \tau x_i + a_i d_i(x) \sum_j W_{ij} x_j + b_i

Give one to a network as ``activation_function``, with that ``tau``.
"""

from typing import Any

from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.connectome.step import State, at_least, saturated


def legacy_activation_function(self: MultilayeredNetwork, x: State, x_previous: State) -> State:
    """Response y to the drive ``x = W x_previous``, ``(neuron, batch)``."""
    z = legacy_activation_function_linear(self, x, x_previous)
    return saturated(at_least(z, self.threshold, False), False)


def legacy_activation_function_linear(
    self: MultilayeredNetwork, x: State, x_previous: State
) -> State:
    """Summed drive z, from ``x = W x_previous``, ``(neuron, batch)``."""
    grouped = self.slope is not None
    slope = self.slope[self.indices][:, None] if grouped else self.tanh_steepness
    biases: Any = self.biases
    bias = biases[self.indices][:, None] if grouped else self.default_bias
    return self.tau * x_previous + self.divnorm(slope, x_previous) * x + bias
