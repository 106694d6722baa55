"""Predicted against held-out activity and rate; needs no ground truth."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from ngpipe.metrics.tidy import agreement, scores


def score_rollout(rollout: xr.Dataset, at: Sequence[int]) -> pd.DataFrame:
    """Across neurons at given frames after the start, and over time within each neuron.

    Quantities: ``rollout_<frame>`` (R2, slope, identity R2, Pearson r over neurons; NaN where the
    model had diverged) and ``rollout`` (mean Pearson r of the neurons' time courses and number of
    frames, both up to the last frame that was predicted).
    """
    truth, estimate = rollout["activity"], rollout["activity_hat"]
    # A session may lack neurons: these are not scored.
    seen = truth.notnull().any("time")
    truth, estimate = truth.isel(neuron=seen.values), estimate.isel(neuron=seen.values)
    tables = []
    for frame in at:
        pair = estimate.isel(time=frame).values, truth.isel(time=frame).values
        values = agreement(*pair)
        pearson = float(np.copysign(np.sqrt(values["r2"]), values["slope"]))
        tables.append(scores(f"rollout_{frame}", {**values, "pearson": pearson}, len(pair[0])))
    predicted = estimate.notnull().all("neuron")
    within = xr.corr(estimate.where(predicted), truth, dim="time").mean()
    values = {"pearson_over_time": float(within), "frames": int(predicted.sum())}
    tables.append(scores("rollout", values, truth.sizes["time"]))
    return pd.concat(tables, ignore_index=True)


def score_drift(rollout: xr.Dataset) -> pd.DataFrame:
    """Rate predicted at held-out frames, one by one."""
    truth, estimate = rollout["drift"].values.ravel(), rollout["drift_hat"].values.ravel()
    seen = ~np.isnan(truth)
    truth, estimate = truth[seen], estimate[seen]
    return scores("drift_held_out", agreement(estimate, truth), len(truth))
