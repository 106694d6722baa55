"""Recovery and rollout against the truth -> ``metrics.csv``, ``learning_curve.csv``."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from ngpipe import store
from ngpipe.artifacts import sampling, survey
from ngpipe.config.agreement import CompareWith
from ngpipe.errors import StoreError
from ngpipe.metrics import connectivity, external, neurons, oracle, prediction, stability
from ngpipe.metrics.reference import Reference, beside
from ngpipe.schemas import assembly as schemas


def run(
    reference: Reference,
    at: tuple[int, ...],
    compare_with: CompareWith | None,
    directory: Path,
    *,
    key: str,
) -> None:
    """Score whatever the simulation knows the truth of; recordings get the predictions scored.

    Args:
        reference: published values, ``{quantity: {metric: value}}``.
        at: frames after the start at which the rollout is scored.
        compare_with: the section of that name; if there is one, the metrics that the stage
            ``compare_with`` wrote are taken over.
        directory: holds the stores of the experiment; ``metrics.csv`` and ``learning_curve.csv`` go
            there.
        key: chain key.
    """
    provenance = store.Provenance("score", key, {"reference": reference, "at": list(at)})
    recorded = directory / "simulation.zarr"
    truth = store.read(recorded, schemas.SIMULATION)
    recovery = store.read(directory / "recovery.zarr", schemas.RECOVERY)
    rollout = store.read(directory / "rollout.zarr", schemas.ROLLOUT)
    history = store.read(directory / "training.zarr", schemas.TRAINING)

    results = {"recovery": recovery, "rollout": rollout, "training": history}
    _check_of_one(results, truth, recorded)
    truth = _in_order(truth, recovery, recorded)

    agreed = [store.read_csv(directory / "agreement_metrics.csv")] if compare_with else []
    table = pd.concat(
        [
            *_against_truth(recovery, truth),
            *_oracle(recovery, truth, history, recorded),
            prediction.score_drift(rollout),
            prediction.score_rollout(rollout, at),
            *agreed,
            *_without_truth(recovery, rollout, history, at),
        ],
        ignore_index=True,
    )
    table = beside(table, reference)
    curve = pd.DataFrame({"step": history["step"].values})
    if "connectivity" in truth:
        three = (history["connectivity"], recovery["connectivity"], truth["connectivity"])
        curve = connectivity.learning_curve(*three)
    curve_path = directory / "learning_curve.csv"
    store.write_csv(curve, curve_path)
    store.write_table(table, directory / "metrics.csv", provenance, beside=[curve_path])


def _without_truth(
    recovery: xr.Dataset, rollout: xr.Dataset, history: xr.Dataset, at: tuple[int, ...]
) -> list[pd.DataFrame]:
    """Forecasts beside baselines, W of the halves, and what was not recorded, if looked at."""
    tables = []
    if "forecast_error" in rollout:
        tables.append(prediction.score_forecasts(rollout, at))
    if "connectivity_halves" in recovery:
        tables.append(stability.score_halves(recovery))
    if "unobserved_bias" in recovery:
        tables.append(stability.score_unobserved(recovery, history.attrs))
    return tables


def _check_of_one(results: Mapping[str, xr.Dataset], truth: xr.Dataset, recorded: Path) -> None:
    """Refuse results that were made from another recording, each by its name.

    Raises:
        StaleError: naming what differs.
    """
    now: dict[str, survey.Identity] = {}
    for name, result in results.items():
        made_from = result.attrs.get("recording")
        if made_from is None:
            continue  # of an older ngpipe, whose keys are others anyway
        if made_from not in now:
            now[made_from] = survey.identified(truth, json.loads(made_from))
        path = recorded.with_name(f"{name}.zarr")
        survey.compare(json.loads(made_from), now[made_from], path, recorded)


def _in_order(truth: xr.Dataset, recovery: xr.Dataset, recorded: Path) -> xr.Dataset:
    """The truth with its matrix in the order of the neurons, where both are named.

    Raises:
        StoreError: the names in the matrix are not those of the neurons.
    """
    for dim in ("post", "pre"):
        if dim not in truth.coords or dim not in recovery.coords:
            continue
        wanted, given = recovery[dim].values, truth[dim].values
        if len(set(given.tolist())) != len(given) or set(given.tolist()) != set(wanted.tolist()):
            odd = sorted(map(str, set(given.tolist()) ^ set(wanted.tolist())))
            raise StoreError(
                f"{recorded}: `connectivity` names its neurons along '{dim}' otherwise than "
                f"`activity` does ({', '.join(odd[:6]) or 'a name is given twice'}); give both the "
                f"same names, each once, or leave the coordinate '{dim}' out if the order is the "
                "same"
            )
        truth = truth.sel({dim: wanted})
    return truth


def _against_truth(recovery: xr.Dataset, truth: xr.Dataset) -> list[pd.DataFrame]:
    tables = _connectivity(recovery, truth) if "connectivity" in truth else []
    known = {"external_input", "input_frame", "driven", "time"} <= set(truth.variables)
    if "external_input" in recovery and known:
        tables.append(external.score(recovery["external_input"], truth))
    if "neuron_type" in truth:
        tables.append(neurons.score_types(recovery["neuron_type"], truth["neuron_type"]))
    if {"phi", "psi", "neuron_type"} <= set(truth.variables):
        tables.append(neurons.score_functions(recovery, truth))
    return tables


def _oracle(
    recovery: xr.Dataset, truth: xr.Dataset, history: xr.Dataset, recorded: Path
) -> list[pd.DataFrame]:
    """What least squares with the true functions reach, if rates were estimated from activity."""
    needed = {"connectivity", "neuron_type", "phi", "psi", "x"}
    if not needed <= set(truth.variables) or "external_input" in truth:
        return []
    if truth["psi"].attrs.get("of", "activity") not in ("activity", "sender"):
        return []
    if json.loads(history.attrs["config"])["target"] == "drift":
        return []
    frames = _seen_frames(truth, recorded)
    return [oracle.score_oracle(frames, truth, recovery["connectivity"])]


def _seen_frames(truth: xr.Dataset, recorded: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Activity and its rate, some frames at a time: as estimated, or differences."""
    dt, n = sampling.interval(truth, recorded), truth.sizes["time"]
    joined = ~np.append(sampling.breaks(truth, recorded), True)
    for start in range(0, n, store.block_length(truth.sizes["neuron"])):
        stop = min(start + store.block_length(truth.sizes["neuron"]), n)
        x = truth["activity"][start : stop + 1].values.astype(np.float64)
        if "rate" in truth:
            yield x[: stop - start], truth["rate"][start:stop].values.astype(np.float64)
        else:
            x = x if len(x) > stop - start else np.concatenate([x, np.full_like(x[:1], np.nan)])
            rate = np.diff(x, axis=0) / dt
            yield x[:-1], np.where(joined[start:stop, None], rate, np.nan)


def _connectivity(recovery: xr.Dataset, truth: xr.Dataset) -> list[pd.DataFrame]:
    learned, true = recovery["connectivity"], truth["connectivity"]
    tables = [connectivity.score(learned, true)]
    if "driven" in truth:
        tables.append(connectivity.score_driven(learned, true, truth["driven"]))
    if "connectivity_error" in recovery:
        error = recovery["connectivity_error"]
        seen = recovery.get("pairs_seen")
        tables.append(connectivity.score_intervals(learned, error, true, seen))
    if "connected" in recovery:
        tables.append(connectivity.score_connected(recovery["connected"], true))
    return tables
