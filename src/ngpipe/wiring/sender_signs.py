"""Signs of senders: +1 excites, -1 inhibits. A sign acts on a column of ``W[post, pre]``."""

from types import MappingProxyType

import numpy as np
import pandas as pd
from scipy import sparse

from ngpipe.errors import ConnectomeError
from ngpipe.wiring.columns import few

FILLS = MappingProxyType({"refuse": 0, "excitatory": 1, "inhibitory": -1, "drop": 0})
"""What may be done with senders without a sign: the sign that they get, 0 if they have none."""


def signs_of(neurons: pd.DataFrame) -> np.ndarray:
    """Sign of every neuron of a table: +1, -1, or NaN where it is unknown."""
    if "sign" not in neurons:
        return np.full(len(neurons), np.nan)
    return neurons["sign"].to_numpy(dtype=np.float64, na_value=np.nan)


def without_sign(weights: sparse.csr_array, neurons: pd.DataFrame, missing: str) -> np.ndarray:
    """Which neurons send, but have no sign: a mask.

    Raises:
        ConnectomeError: there are any, and ``missing`` is ``refuse``.
    """
    sends = np.diff(weights.tocsc().indptr) > 0
    unknown = sends & np.isnan(signs_of(neurons))
    if unknown.any() and missing == "refuse":
        senders = few(neurons["id"].to_numpy()[unknown])
        raise ConnectomeError(
            f"{unknown.sum()} of {sends.sum()} neurons that send have no sign, {senders}; "
            "fill the column 'sign' with +1 or -1, or say signed(missing='excitatory'), "
            "'inhibitory' or 'drop'"
        )
    return unknown


def check_agree(weights: sparse.csr_array, neurons: pd.DataFrame) -> None:
    """Signed weights have the signs of their senders, where these are known.

    Raises:
        ConnectomeError: some do not.
    """
    wrong = weights.data * np.nan_to_num(signs_of(neurons))[weights.indices] < 0
    if wrong.any():
        senders = neurons["id"].to_numpy()[np.unique(weights.indices[wrong])]
        raise ConnectomeError(
            f"the weights are already signed, and those of {few(senders)} contradict their "
            "'sign'; take the sizes of the weights (mapped(abs)), or correct the column"
        )
