"""Responses of a connectome: against those given, and against null connectomes."""

import numpy as np
import pandas as pd
import xarray as xr

from ngpipe.metrics.tidy import agreement, rows


def score_fit(fit: xr.Dataset) -> list[pd.DataFrame]:
    """Fitted against given responses, of stimuli trained on and of those held out."""
    held_out = fit["held_out"].values.astype(bool)
    sides = {"fit_trained": ~held_out, "fit_held_out": held_out}
    tables = []
    for quantity, chosen in sides.items():
        if not chosen.any():
            continue
        got, wanted = fit["fitted"].values[chosen], fit["given"].values[chosen]
        values = {"r2": agreement(got, wanted)["r2"], "error": np.abs(got - wanted).mean()}
        tables.append(rows(quantity, values, int(chosen.sum())))
    return tables


def score_attribution(attribution: xr.Dataset) -> list[pd.DataFrame]:
    """How far attributions to the input miss the readout they explain, relative to it."""
    tables = []
    for name in attribution["readout"].values:
        one = attribution.sel(readout=name)
        missed = abs(float(one["delta"])) / max(abs(float(one["value"])), np.finfo(np.float32).tiny)
        values = {"attribution_missed": missed, "silencing_largest": float(one["silencing"].max())}
        tables.append(rows(str(name), values, one["attribution"].size))
    return tables


def score_control(control: xr.Dataset) -> list[pd.DataFrame]:
    r"""Each readout beside its nulls.

    ``z`` is its distance from their mean in their standard deviations; ``p`` the share of all
    draws, itself among them, that are at least as far from their mean:
    :math:`(1 + \#\{|n_k - \bar n| \ge |v - \bar n|\}) / (1 + K)`.
    """
    tables = []
    for name in control["readout"].values:
        value = float(control["value"].sel(readout=name))
        null = control["null"].sel(readout=name).values.astype(np.float64)
        mean, spread = null.mean(), null.std(ddof=1) if len(null) > 1 else np.nan
        far = np.abs(null - mean) >= abs(value - mean)
        values = {
            "value": value,
            "null_mean": mean,
            "null_std": spread,
            "z": (value - mean) / spread if spread > 0 else np.nan,
            "p": (1 + far.sum()) / (1 + len(null)),
        }
        tables.append(rows(str(name), values, len(null)))
    return tables
