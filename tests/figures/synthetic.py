"""Small random results of an experiment with a hidden input, never zero, as panels see them."""

import numpy as np
import pandas as pd
import xarray as xr
from drawing import read_by

from ngpipe import schemas
from ngpipe.config.figures import Panel, Style
from ngpipe.figures.assembly.material import AssemblyMaterial

N, T = 70, 900
SIDE = 6
"""Driven neurons along each side of the unit square; the others lie on a circle beside it."""
SAMPLES = np.arange(30, T, 97)
"""Frames at which the input was learned: none of those that panels ask for."""
ONE_STEP = {"model": 0.99, "persistence": 0.8, "autoregression": 0.9, "alone": 0.85}
PREDICTORS = tuple(ONE_STEP)
DIAGNOSIS = {
    "n_frames": 700,
    "n_neurons": N,
    "stretches": 3,
    "directions": 23.0,
    "condition_number": 1e4,
    "expected_r2": 0.31,
    "at_most": 0.31,
    "noise_share": 0.02,
    "coherent": 0.1,
    "held_out": 0.25,
    "identified": "no",
    "unobserved_rank": 2,
    "unobserved_bias": 0.12,
}


def forecasts(n: int, starts: int = 12) -> dict:
    """Errors of forecasts over n leads: those of the model smallest, up to lead 25."""
    lead = np.arange(1, n + 1)
    error = {name: (1 - r2) * lead / 10 for name, r2 in ONE_STEP.items()}
    error["model"] = np.where(lead <= 25, error["model"], 1.0)
    stacked = np.stack([error[name] for name in PREDICTORS])
    return {
        "forecast_error": (("predictor", "start", "lead"), np.stack([stacked] * starts, axis=1)),
        "forecast_variance": (("start", "lead"), np.ones((starts, n))),
    }


def positions() -> np.ndarray:
    """Row by row from the top, so that the order of neurons is not that of pixels."""
    centres = (np.arange(SIDE) + 0.5) / SIDE
    x, y = np.meshgrid(centres, centres[::-1])
    angle = np.linspace(0, 2 * np.pi, N - SIDE**2, endpoint=False)
    circle = np.stack([0.5 + 0.4 * np.cos(angle), 1.6 + 0.4 * np.sin(angle)], axis=1)
    return np.concatenate([np.stack([x.ravel(), y.ravel()], axis=1), circle])


def material(kind: str, **changes) -> AssemblyMaterial:
    rng = np.random.default_rng(0)
    x = np.linspace(-6, 6, 41)
    weights = rng.standard_cauchy((N, N)).clip(-9, 9)
    types = np.arange(N) * 3 // N
    phi = np.stack([-x, -2 * x, -3 * x])
    noisy = weights + 0.1 * rng.normal(size=weights.shape)
    activity = rng.normal(size=(T, N)).cumsum(0) / 9
    time = 0.01 * np.arange(T)
    omega = rng.uniform(0.5, 1.5, size=(10, N))
    shown = np.linspace(0, 9, T)
    learned = omega[shown[SAMPLES].astype(int)] * rng.uniform(0.5, 2.0, size=(len(SAMPLES), N))
    simulation = xr.Dataset(
        {
            "activity": (("time", "neuron"), activity),
            "connectivity": (("post", "pre"), weights),
            "neuron_type": (("neuron",), types),
            "position": (("neuron", "axis"), positions()),
            "driven": (("neuron",), np.arange(N) < SIDE**2),
            "inputs": (("time", "input"), np.cos(np.arange(2.0 * T)).reshape(T, 2)),
            "external_input": (("frame", "neuron"), omega),
            "input_frame": (("time",), shown),
            "phi": (("type", "x"), phi),
            "psi": (("type", "x"), np.tanh(np.tile(x, (3, 1)))),
        },
        coords={"time": time, "x": x},
        attrs={"dt": 0.01},
    )
    recovery = xr.Dataset(
        {
            "connectivity": (("post", "pre"), noisy),
            "connectivity_error": (("post", "pre"), 0.1 * (1 - np.eye(N))),
            "connected": (
                ("post", "pre"),
                np.abs(noisy) > 0.3,
                {"false_discovery": 0.05},
            ),
            "connectivity_halves": (
                ("half", "post", "pre"),
                weights + 0.3 * rng.normal(size=(2, N, N)),
            ),
            "pairs_seen": (("post", "pre"), np.full((N, N), 1000)),
            "latent": (("neuron", "component"), rng.normal(size=(N, 2))),
            "neuron_type": (("neuron",), types),
            "phi": (("neuron", "x"), phi[types]),
            "psi": (("neuron", "x"), np.tanh(np.tile(x, (N, 1)))),
            "visited": (("neuron", "bound"), np.tile([-4.0, 4.0], (N, 1))),
            "external_input": (("sample", "neuron"), learned),
            "input_coefficient": (("neuron", "input"), np.sin(np.arange(2 * N)).reshape(N, 2)),
            "unobserved_bias": (("post",), np.full(N, 0.2)),
            "input_error": (("neuron", "input"), np.full((N, 2), 0.1)),
        },
        coords={"x": x, "sample": time[SAMPLES], "input": ["speed", "light"]},
        attrs={"n_types": 3},
    )
    rollout = xr.Dataset(
        {
            "activity": (("time", "neuron"), activity),
            "activity_hat": (("time", "neuron"), activity + 0.1),
            **forecasts(40),
        },
        coords={"time": time, "predictor": list(PREDICTORS), "lead": time[1:41]},
    )
    history = xr.Dataset(attrs=DIAGNOSIS)
    for dataset, schema in [
        (simulation, schemas.SIMULATION),
        (recovery, schemas.RECOVERY),
        (rollout, schemas.ROLLOUT),
    ]:
        for name, v in dataset.variables.items():
            units = getattr(schema.get(str(name)), "units", "1")
            v.attrs = {"units": units, "long_name": "q", **v.attrs}
        dataset["time" if "time" in dataset.dims else "x"].attrs["units"] = "tau"
    metrics = pd.DataFrame(
        [
            ("connectivity", "r2", 0.9876),
            ("connectivity", "slope", 1.01),
            ("interval", "coverage_95", 0.9432),
            ("connected", "false_discovery", 0.0321),
            ("connected", "power", 0.8765),
            ("phi", "nrmse", 0.01),
            ("psi", "nrmse", 0.02),
            ("input", "r2", 0.7654),
            ("input", "slope", 1.234),
            ("input_sqrt", "r2", 0.8123),
            ("input_sqrt", "slope", 1.345),
            ("halves", "correlation", 0.9172),
            ("halves", "correlation_connected", 0.9583),
            *(("prediction", f"r2_{name}", r2) for name, r2 in ONE_STEP.items()),
            ("rollout_400", "r2", 0.8765),
            ("rollout_400", "slope", 0.9),
        ],
        columns=["quantity", "metric", "value"],
    )
    curve = pd.DataFrame({"step": [1, 2, 3], "r2": [0.1, 0.6, 0.9]})
    training = pd.DataFrame({"step": [1, 2, 3], "held_out": [1.0, np.nan, 0.01]})
    training = training.assign(stage="gradient", seconds=[2.0, 3.0, 7.0])
    draws = [("observed", 1, "rank", 0, 0.3)]
    draws += [("degree", 1, "rank", k, value) for k, value in enumerate(rng.normal(0, 0.1, 39))]
    agreement = pd.DataFrame(draws, columns=["null", "hops", "measure", "draw", "value"])
    options = {"rollout_scatter": {"frame": 400}, "wiring_agreement": {"metric": "rank"}}
    spec = Panel(kind=kind, of="e", **options.get(kind, {}))
    parts = {
        "simulation": simulation,
        "recovery": recovery,
        "rollout": rollout,
        "metrics": metrics,
        "learning_curve": curve,
        "training": training,
        "history": history,
        "agreement": agreement,
    }
    how = {"spec": spec, "style": Style(dpi=60)}
    how.update({name: changes.pop(name) for name in how if name in changes})
    return AssemblyMaterial(read_by(how["spec"], AssemblyMaterial, parts | changes), **how)
