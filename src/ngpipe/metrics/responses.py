"""Responses of a connectome: against those given, and against null connectomes."""

import numpy as np
import pandas as pd
import xarray as xr

from ngpipe.metrics.tidy import agreement, scores
from ngpipe.wiring.nulls.significance import p_value

TINY = float(np.finfo(np.float32).tiny)
"""Least size of a readout that something is relative to [1]."""


def score_fit(fit: xr.Dataset) -> list[pd.DataFrame]:
    """Fitted against given responses, of stimuli trained on and of those held out.

    ``r2_identity`` is 1 - sum((fitted - given)^2) / sum((given - mean)^2), ``error`` the mean
    absolute difference.
    """
    held_out = fit["held_out"].values.astype(bool)
    sides = {"fit_trained": ~held_out, "fit_held_out": held_out}
    tables = []
    for quantity, chosen in sides.items():
        if not chosen.any():
            continue
        got, wanted = fit["fitted"].values[chosen], fit["given"].values[chosen]
        found = agreement(got, wanted)
        values = {"r2": found["r2"], "r2_identity": found["r2_identity"]}
        values["error"] = np.abs(got - wanted).mean()
        tables.append(scores(quantity, values, int(chosen.sum())))
    return tables


def score_attribution(attribution: xr.Dataset) -> list[pd.DataFrame]:
    """Error of attributions to the input, relative to the readout that they explain.

    ``silencing_largest`` is the loss, with its sign, of the group other than its own whose
    silence changes the readout most.
    """
    tables = []
    for name in attribution["readout"].values:
        one = attribution.sel(readout=name)
        missed = abs(float(one["delta"])) / max(abs(float(one["value"])), TINY)
        lost = one["silencing"].dropna("group").values
        values = {"attribution_missed": missed}
        if len(lost):
            values["silencing_largest"] = float(lost[np.abs(lost).argmax()])
        tables.append(scores(str(name), values, one["attribution"].size))
    return tables


def score_control(control: xr.Dataset) -> list[pd.DataFrame]:
    """Each readout beside its nulls: ``z``, its distance from their mean in their standard
    deviations, and ``p`` (:func:`ngpipe.wiring.nulls.significance.p_value`). Alone where there
    are none.
    """
    tables = []
    for name in control["readout"].values:
        value = float(control["value"].sel(readout=name))
        null = control["null"].sel(readout=name).values.astype(np.float64)
        if not len(null):
            tables.append(scores(str(name), {"value": value}, 0))
            continue
        mean, spread = null.mean(), null.std(ddof=1) if len(null) > 1 else np.nan
        values = {
            "value": value,
            "null_mean": mean,
            "null_std": spread,
            "z": (value - mean) / spread if spread > 0 else np.nan,
            "p": p_value(value, null),
        }
        tables.append(scores(str(name), values, len(null)))
    return tables
