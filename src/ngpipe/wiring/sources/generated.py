"""A small random connectome with everything a real one has: types, roles, signs, positions."""

import numpy as np
import pandas as pd

from ngpipe.errors import ConnectomeError
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.origin import Origin
from ngpipe.wiring.sources.unroll import TypeConnectome, hexagon

LAYERS = {"input": 2, "intermediate": 5, "output": 2}
"""Number of cell types of each role."""
LETTERS = {"input": "I", "intermediate": "M", "output": "O"}


def generated_types(
    rng: np.random.Generator, *, inhibitory: float = 0.3, synapses: float = 8.0
) -> TypeConnectome:
    """Nine random cell types in three layers: I1, I2 -> M1 to M5 -> O1, O2.

    Each type receives from at least two types of the layer before, and types of the middle layer
    from one another; a connection reaches one to five columns of the seven nearest. The first
    type of each layer is excitatory.

    Args:
        rng: source of all draws.
        inhibitory: share of the other types of the first two layers that inhibit, rounded.
        synapses: mean number of synapses of an offset.

    Raises:
        ConnectomeError: a share outside [0, 1], or no synapses.
    """
    if not 0 <= inhibitory <= 1 or synapses <= 0:
        raise ConnectomeError(
            f"inhibitory={inhibitory} and synapses={synapses}: expected a share from 0 to 1 and a "
            "positive number"
        )
    roles = np.repeat(list(LAYERS), list(LAYERS.values()))
    names = [f"{LETTERS[role]}{i + 1}" for role, n in LAYERS.items() for i in range(n)]
    first = np.r_[True, roles[1:] != roles[:-1]]
    candidates = np.flatnonzero(~first & (roles != "output"))
    signs = np.ones(len(roles))
    signs[rng.permutation(candidates)[: round(inhibitory * len(candidates))]] = -1
    types = pd.DataFrame({"cell_type": names, "role": roles, "sign": signs})
    types[["stride_u", "stride_v"]] = 1
    rows = [r for post in range(len(roles)) for r in _offsets(post, roles, synapses, rng)]
    offsets = pd.DataFrame(rows, columns=["pre", "post", "du", "dv", "weight"])
    named = {column: np.array(names)[offsets[column]] for column in ("pre", "post")}
    return TypeConnectome(types, offsets.assign(**named), Origin(source="generated"))


def generated(rng: np.random.Generator, radius: int = 2, **types: float) -> Connectome:
    """A random connectome on a hexagonal lattice: 9 (3 R^2 + 3 R + 1) neurons, 171 at radius 2.

    Weights are whole numbers of synapses, Poisson about the mean of their type, without sign;
    ``sign`` of the neuron table has it. Connections that draw no synapse do not exist.

    Args:
        rng: source of all draws.
        radius: of the lattice [columns].
        **types: options of :func:`generated_types`.
    """
    smooth = generated_types(rng, **types).unroll(radius)
    return smooth.mapped(np.asarray(rng.poisson(smooth.weights.data)))


def _offsets(
    post: int, roles: np.ndarray, synapses: float, rng: np.random.Generator
) -> list[tuple[int, int, int, int, float]]:
    """(pre, post, du, dv, mean synapses) of what one type receives."""
    layers = list(LAYERS)
    layer = layers.index(roles[post])
    if layer == 0:
        return []
    before = np.flatnonzero(roles == layers[layer - 1])
    senders = rng.permutation(before)[: rng.integers(2, len(before) + 1)].tolist()
    if roles[post] == "intermediate":
        others = np.flatnonzero((roles == roles[post]) & (np.arange(len(roles)) != post))
        senders += rng.permutation(others)[:2].tolist()
    rows = []
    for pre in senders:
        near = rng.permutation(hexagon(1))[: rng.integers(1, 6)]
        means = synapses * rng.gamma(4, 1 / 4, len(near))
        rows += [(pre, post, *c, m) for c, m in zip(near.tolist(), means.tolist(), strict=True)]
    return rows
