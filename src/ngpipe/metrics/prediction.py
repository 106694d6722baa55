"""Predicted against held-out activity and rate; needs no ground truth."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from ngpipe.metrics.tidy import agreement, scores

PREDICTORS = ("model", "persistence", "autoregression", "alone")
"""Predictors whose forecasts are scored."""


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


def score_forecasts(rollout: xr.Dataset, at: Sequence[int]) -> pd.DataFrame:
    r"""Forecasts of held-out activity by the model and three baselines.

    Quantity ``prediction`` is one frame ahead, ``prediction_<f>`` f frames ahead, as far as
    held-out stretches reach. Metrics are ``r2_<predictor>``, with the mean over training frames
    :math:`\bar x_i` as what explains nothing:

    .. math:: R^2 = 1 - \sum (\hat x_i - x_i)^2 / \sum (x_i - \bar x_i)^2

    over all starts and neurons; NaN if the forecast from some start has diverged.
    """
    error, variance = rollout["forecast_error"], rollout["forecast_variance"].sum("start")
    tables = []
    ahead = {"prediction": 1} | {f"prediction_{frame}": frame for frame in at}
    for quantity, frames in ahead.items():
        if not 0 < frames <= rollout.sizes["lead"]:
            continue
        missed = error.isel(lead=frames - 1).sum("start", skipna=False)
        total = float(variance.isel(lead=frames - 1))
        explained = 1 - missed / total if total else missed * np.nan
        values = {f"r2_{name}": float(explained.sel(predictor=name)) for name in PREDICTORS}
        tables.append(scores(quantity, values, rollout.sizes["start"] * rollout.sizes["neuron"]))
    return pd.concat(tables, ignore_index=True)
