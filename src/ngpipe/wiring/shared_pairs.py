"""Pairs of neurons that a matrix with names and a connectome both know.

The matrix is recovered W or measured responses; a pair without a number in it was not measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float, Int

from ngpipe.errors import ConnectomeError
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.edges import few

FEWEST = 10
"""Pairs below which they are refused."""


@dataclass(frozen=True)
class SharedPairs:
    """Pairs of neurons that an estimate and a connectome both know.

    Attributes:
        post: index of the receiver in the connectome.
        pre: likewise of the sender.
        value: the estimate.
        counts: ``pairs``; ``not_measured``, pairs of the rows and columns of the estimate without
            a number; ``unknown_neurons``, its neurons that the connectome lacks.
    """

    post: Int[np.ndarray, " pair"]
    pre: Int[np.ndarray, " pair"]
    value: Float[np.ndarray, " pair"]
    counts: Mapping[str, int]

    @classmethod
    def of(cls, estimate: xr.DataArray, connectome: Connectome) -> "SharedPairs":
        """Match by name: the coordinates ``post`` and ``pre`` of the estimate, ids of the other.

        Args:
            estimate: (post, pre), NaN where not known; rows and columns may be other neurons.
            connectome: with ids.

        Raises:
            ConnectomeError: no names, a name that stands twice, or too few pairs in common.
        """
        places = {dim: _places(estimate, dim, connectome) for dim in ("post", "pre")}
        names = [estimate[dim].values for dim in ("post", "pre")]
        values = estimate.transpose("post", "pre").values.astype(np.float64)
        other = names[0][:, None] != names[1]
        measured = np.isfinite(values) & other
        known = (places["post"] >= 0)[:, None] & (places["pre"] >= 0)
        row, column = np.nonzero(measured & known)
        lost = {
            name for dim, own in zip(places, names, strict=True) for name in own[places[dim] < 0]
        }
        counts = {
            "pairs": len(row),
            "not_measured": int((other & known).sum()) - len(row),
            "unknown_neurons": len(lost),
        }
        if len(row) < FEWEST:
            raise ConnectomeError(
                f"estimate and connectome share {len(row)} pairs of neurons, expected at least "
                f"{FEWEST}; the names of the estimate begin with {few(names[0])}, those of the "
                f"connectome with {few(connectome.ids)}: give both the same names"
            )
        return cls(places["post"][row], places["pre"][column], values[row, column], counts)


def _places(estimate: xr.DataArray, dim: str, connectome: Connectome) -> Int[np.ndarray, " name"]:
    """Index in the connectome of each row or column; -1 where it is not there."""
    if dim not in estimate.coords:
        raise ConnectomeError(
            f"the estimate has no names along '{dim}', so it cannot be matched with a connectome; "
            f"give it the coordinate '{dim}' with the name of each neuron"
        )
    names, ids = pd.Index(estimate[dim].values), pd.Index(connectome.ids)
    if names.has_duplicates:
        raise ConnectomeError(
            f"{few(names[names.duplicated()])} stand twice along '{dim}' of the estimate; give "
            "each neuron one row and one column"
        )
    return ids.get_indexer(names)
