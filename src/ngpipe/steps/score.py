"""Recovery and rollout against the truth -> ``metrics.csv``, ``learning_curve.csv``."""

from pathlib import Path

import pandas as pd
import xarray as xr

from ngpipe import schemas, store
from ngpipe.metrics import connectivity, external, neurons, prediction
from ngpipe.metrics.reference import Reference, beside


def run(
    reference: Reference,
    at: tuple[int, ...],
    run_directory: Path,
    metrics: Path,
    *,
    key: str,
) -> None:
    """Score whatever the simulation knows the truth of; recordings get the predictions scored.

    Args:
        reference: published values, ``{quantity: {metric: value}}``.
        at: frames after the start at which the rollout is scored.
        run_directory: holds the stores of the experiment.
        metrics: the table to write; ``learning_curve.csv`` goes beside it.
        key: chain key.
    """
    provenance = store.Provenance("score", key, {"reference": reference, "at": list(at)})
    truth = store.read(run_directory / "simulation.zarr", schemas.SIMULATION)
    recovery = store.read(run_directory / "recovery.zarr", schemas.RECOVERY)
    rollout = store.read(run_directory / "rollout.zarr", schemas.ROLLOUT)
    history = store.read(run_directory / "training.zarr", schemas.TRAINING)

    table = pd.concat(
        [
            *_against_truth(recovery, truth),
            prediction.score_drift(rollout),
            prediction.score_rollout(rollout, at),
        ],
        ignore_index=True,
    )
    table = beside(table, reference)
    curve = pd.DataFrame({"step": history["step"].values})
    if "connectivity" in truth:
        curve = connectivity.learning_curve(history["connectivity"], truth["connectivity"])
    curve_path = metrics.with_name("learning_curve.csv")
    store.write_csv(curve, curve_path)
    store.write_table(table, metrics, provenance, beside=[curve_path])


def _against_truth(recovery: xr.Dataset, truth: xr.Dataset) -> list[pd.DataFrame]:
    tables = _connectivity(recovery, truth) if "connectivity" in truth else []
    known = {"external_input", "input_frame", "driven", "time"} <= set(truth.variables)
    if "external_input" in recovery and known:
        tables.append(external.score(recovery["external_input"], truth))
    if "neuron_type" in truth:
        tables.append(neurons.score_types(recovery["neuron_type"], truth["neuron_type"]))
    if "phi" in truth:
        tables.append(neurons.score_functions(recovery, truth))
    return tables


def _connectivity(recovery: xr.Dataset, truth: xr.Dataset) -> list[pd.DataFrame]:
    learned, true = recovery["connectivity"], truth["connectivity"]
    tables = [connectivity.score(learned, true)]
    if "driven" in truth:
        tables.append(connectivity.score_driven(learned, true, truth["driven"]))
    if "connectivity_error" in recovery:
        error = recovery["connectivity_error"]
        tables.append(connectivity.score_intervals(learned, error, true))
    if "connected" in recovery:
        tables.append(connectivity.score_connected(recovery["connected"], true))
    return tables
