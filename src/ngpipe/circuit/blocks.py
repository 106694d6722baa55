r"""The network: measured excitatory connections, and random ones from and onto inhibitory neurons.

.. math::
    W = \begin{pmatrix} s\, S / S_1 & -I \\ E & -I' \end{pmatrix}, \qquad
    \sum_{j \in I} |W_{ij}| = b \sum_{j \in E} W_{ij}

Excitatory neurons come first. S[post, pre] is what was measured; the three other blocks connect two
neurons with probability p and log-normal weights :math:`g\, 10^{|N(1, 0.2)|}`. The balance b scales
what inhibitory neurons send, row by row, so g cancels there and scales E alone; a row that no
inhibitory neuron sends to has nothing to scale and stays unbalanced. After the notebook of
Dorkenwald (sdorkenw/AMATH_342_neuronal_circuits).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from ngpipe.config.circuit.blocks import CircuitParameters
from ngpipe.errors import ArgumentError

Weights = Float[np.ndarray, "post pre"]


NOTEBOOK = CircuitParameters()
"""The notebook's values."""


@dataclass(frozen=True, eq=False)
class RandomPart:
    """Draws for the random blocks; networks made with the same draws are a pair.

    Attributes:
        connected: who sends to whom, (post, pre), without self-connections.
        strength: weights over gain of all pairs, (post, pre) [1].
    """

    connected: Bool[np.ndarray, "post pre"]
    strength: Weights


@dataclass(frozen=True, eq=False)
class Circuit:
    """A network of excitatory neurons, which come first, and inhibitory ones.

    Attributes:
        weights: W[post, pre] [1].
        n_exc: how many neurons excite.

    Raises:
        ArgumentError: weights that are not square and finite, or break Dale's law.
    """

    weights: Weights
    n_exc: int

    def __post_init__(self) -> None:
        _check_square("weights", self.weights)
        if not 1 <= self.n_exc <= len(self.weights):
            raise ArgumentError(
                f"n_exc is {self.n_exc}, expected 1 to {len(self.weights)}, the number of neurons"
            )
        sent = self.weights * np.where(np.arange(len(self.weights)) < self.n_exc, 1, -1)
        if (sent < 0).any():
            post, pre = np.argwhere(sent < 0)[0]
            raise ArgumentError(
                f"the weight from neuron {pre} to {post} is {self.weights[post, pre]:g}: of "
                f"{len(sent)} neurons the first {self.n_exc} excite and the others inhibit (Dale's "
                "law); correct its sign, or n_exc"
            )

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def n_inh(self) -> int:
        """Number of inhibitory neurons."""
        return len(self) - self.n_exc


def notebook_draw(n_exc: int, parameters: CircuitParameters, seed: int) -> RandomPart:
    """The draws of the notebook, bit for bit.

    Connections are those of ``networkx.erdos_renyi_graph(n, p, seed, directed=True)``, weights
    those of ``numpy.random.RandomState(seed)``. One seed feeds both streams.

    Args:
        n_exc: number of excitatory neurons.
        parameters: probability, inhibitory share and spread of weights.
        seed: the notebook's ``random_seed``, from 0 to 2**32 - 1.

    Raises:
        ArgumentError: a seed out of range, which RandomState has not.
    """
    if not 0 <= seed < 2**32:
        raise ArgumentError(f"seed is {seed}, expected 0 to 2**32 - 1, as RandomState has them")
    n = parameters.n_neurons(n_exc)
    # A seed in a list is spread as Python's random does, which networkx draws from: one number for
    # each ordered pair of two nodes, in their order.
    uniform = np.random.RandomState([seed]).random_sample(n * (n - 1))
    normal = np.random.RandomState(seed).normal(parameters.log10_mean, parameters.log10_std, (n, n))
    return _part(uniform, normal, parameters)


def draw(n_exc: int, parameters: CircuitParameters, rng: np.random.Generator) -> RandomPart:
    """Draws of the same distribution from a Generator.

    Args:
        n_exc: number of excitatory neurons.
        parameters: probability, inhibitory share and spread of weights.
        rng: source of all draws.
    """
    n = parameters.n_neurons(n_exc)
    uniform = rng.random(n * (n - 1))
    normal = rng.normal(parameters.log10_mean, parameters.log10_std, (n, n))
    return _part(uniform, normal, parameters)


def circuit(measured: np.ndarray, part: RandomPart, parameters: CircuitParameters) -> Circuit:
    """Measured connections within the random ones.

    Args:
        measured: S[post, pre], summed sizes of the synapses of each connection, 0 where there is
            none; of a :class:`~ngpipe.wiring.container.Connectome` its ``weights.toarray()``.
        part: what is random; drawn for as many excitatory neurons as ``measured`` has.
        parameters: those that ``part`` was drawn with, or others with the same probability,
            inhibitory share and spread.

    Raises:
        ArgumentError: sizes that are negative, not finite or not square, draws for another number
            of neurons.
    """
    _check_square("measured", measured)
    n_exc, n = len(measured), parameters.n_neurons(len(measured))
    if (measured < 0).any():
        raise ArgumentError(
            f"{(measured < 0).sum()} measured weights are below 0, expected sizes of excitatory "
            "synapses; leave inhibitory neurons out"
        )
    if len(part.connected) != n:
        raise ArgumentError(
            f"the random part is of {len(part.connected)} neurons, expected {n} for {n_exc} "
            f"excitatory ones and inhibitory={parameters.inhibitory:g}; draw it again"
        )
    weights = parameters.gain * part.strength * part.connected
    weights[:n_exc, :n_exc] = parameters.ee_scale * (np.float64(measured) / parameters.ee_unit)
    weights[:, n_exc:] *= -1
    if parameters.balance is not None:
        weights[:, n_exc:] *= _rescaling(weights, n_exc, parameters.balance)[:, None]
    return Circuit(weights, n_exc)


def _part(uniform: np.ndarray, normal: np.ndarray, parameters: CircuitParameters) -> RandomPart:
    connected = np.zeros(normal.shape, dtype=bool)
    connected[~np.eye(len(normal), dtype=bool)] = uniform < parameters.probability
    return RandomPart(connected, 10 ** np.abs(normal))


def _rescaling(weights: Weights, n_exc: int, balance: float) -> Float[np.ndarray, " post"]:
    """Factor of each row's inhibition; rows without any have nothing to scale."""
    excitation = weights[:, :n_exc].sum(axis=1)
    inhibition = weights[:, n_exc:].sum(axis=1)
    inhibition[inhibition == 0] = 1
    return excitation / -inhibition * balance


def _check_square(name: str, matrix: np.ndarray) -> None:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
        raise ArgumentError(
            f"{name} has shape {matrix.shape}, expected (neuron, neuron) as [post, pre]; give a "
            "square matrix"
        )
    bad = ~np.isfinite(matrix)
    if bad.any():
        post, pre = np.argwhere(bad)[0]
        raise ArgumentError(
            f"{name} holds {bad.sum()} values that are not finite, the first from neuron {pre} to "
            f"{post}; write 0 where there is no connection"
        )
