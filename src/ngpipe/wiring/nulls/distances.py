"""Bins of distance between neurons, for the nulls that keep distances."""

import numpy as np
from jaxtyping import Int
from scipy.spatial.distance import pdist, squareform

from ngpipe.errors import ConnectomeError
from ngpipe.wiring.columns import few
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.nulls.drawn import FIXED

BINS = 20
AXES = ("x", "y", "z")


def distance_bins(
    connectome: Connectome, bins: int = BINS, axes: tuple[str, ...] = AXES
) -> Int[np.ndarray, "neuron neuron"]:
    """Bin of the distance of every pair of neurons, from 0; :data:`FIXED` of a neuron to itself.

    Args:
        connectome: with positions.
        bins: of distance, each with as many pairs.
        axes: columns of the neuron table between whose values the (Euclidean) distance is taken.

    Raises:
        ConnectomeError: a neuron without a position, or no bins.
    """
    if bins < 1:
        raise ConnectomeError(f"bins={bins}, expected at least one bin of distance")
    place = np.stack([connectome.column(axis).to_numpy(np.float64) for axis in axes], axis=1)
    lost = np.isnan(place).any(axis=1)
    if lost.any():
        raise ConnectomeError(
            f"{lost.sum()} neurons have no position {axes}, {few(connectome.ids[lost])}; leave "
            "them out with select"
        )
    distance = squareform(pdist(place))
    ordered = np.sort(distance[~np.eye(len(place), dtype=bool)])
    limits = ordered[np.arange(1, bins) * len(ordered) // bins] if len(ordered) else ordered
    classes = np.searchsorted(limits, distance, side="right")
    np.fill_diagonal(classes, FIXED)
    return classes
