"""Impulse responses of a circuit, of what it is compared with, and of a sweep -> a store."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from ngpipe import store
from ngpipe.artifacts.progress import Bar, progress, say
from ngpipe.circuit.blocks import Circuit
from ngpipe.circuit.conditions import Drawn, circuits, connectomes
from ngpipe.circuit.measures import mean_field
from ngpipe.circuit.respond import respond
from ngpipe.config.circuit.runs import CircuitRuns
from ngpipe.config.sweep import Value, points, spelled
from ngpipe.schemas import circuit as schemas
from ngpipe.wiring.container import Connectome

SAMPLES = 1000
"""Most times at which the activity of all neurons is kept."""
SECONDS = {"units": "s", "long_name": "time"}


def run(experiment: CircuitRuns, directory: Path, *, key: str, device: torch.device) -> None:
    """Run every condition for every seed, without a sweep and at each of its points.

    Args:
        experiment: its sections ``network``, ``neurons``, ``impulse``, ``runs``, ``conditions``
            and ``sweep``.
        directory: holds the connectome; the store goes there.
        key: chain key.
        device: where to compute.

    Raises:
        ArgumentError: connections of the connectome that inhibit.
        ConnectomeError: a null or an ablation that cannot be had of this connectome.
    """
    parts = {"network", "neurons", "impulse", "runs", "conditions", "sweep"}
    section = experiment.model_dump(mode="json", include=parts)
    provenance = store.Provenance("respond", key, section, device=str(device))
    connectome = Connectome.load(directory / "connectome.zarr")
    drawn = connectomes(connectome, experiment)
    swept = list(points(experiment))
    with progress(len(swept) * len(drawn), "responses", unit="run") as bar:
        found = [_point(drawn, path, value, one, device, bar) for path, value, one in swept]
    _tell_stepped(found, experiment)
    dataset = xr.concat(found, "run").merge(_examples(drawn, experiment, device))
    dataset.attrs = {"n_exc": len(connectome), "connectome_source": connectome.origin.source}
    for name in ("time", "sample"):
        dataset[name].attrs = SECONDS
    store.write(dataset, directory / "responses.zarr", schemas.RESPONSES, provenance)


def _tell_stepped(found: list[xr.Dataset], experiment: CircuitRuns) -> None:
    """Say how many runs could not be propagated, and how many eigenvalues not be known."""
    whole = sum(int((some["stepped_from"] == 0).sum()) for some in found)
    unknown = sum(int(some["eigenvalue"].isnull().sum()) for some in found)
    runs = sum(some.sizes["run"] for some in found)
    if unknown:
        say(
            f"{unknown} of {runs} runs have no eigenvalue: eigenvectors of W are nearly parallel, "
            "so it is lost in rounding",
        )
    if whole and experiment.runs.engine == "linear":
        say(
            f"{whole} of {runs} runs are strongly feedforward: propagation would amplify its own "
            "rounding, so they were stepped",
        )


def _point(
    drawn: Drawn,
    parameter: str,
    value: Value,
    experiment: CircuitRuns,
    device: torch.device,
    bar: Bar,
) -> xr.Dataset:
    """All runs at one point of the sweep."""
    labels: list[tuple[str, int]] = []
    predicted: list[Circuit] = []

    def made() -> Iterator[Circuit]:
        for condition, seed, circuit in circuits(drawn, experiment.network, experiment.runs):
            labels.append((condition, seed))
            predicted.append(mean_field(circuit))
            bar.update()
            yield circuit

    found = _respond(made(), experiment, device)
    names, seeds = zip(*labels, strict=True)
    return found.assign(
        predicted=_respond(predicted, experiment, device)["excitatory"],
        parameter=("run", np.full(len(labels), parameter)),
        value=("run", np.full(len(labels), spelled(value) if parameter else "")),
        condition=("run", np.array(names)),
        seed=("run", np.array(seeds)),
    )


def _examples(drawn: Drawn, experiment: CircuitRuns, device: torch.device) -> xr.Dataset:
    """Network, spectrum and activity of the first seed of every condition, without a sweep."""
    seed = experiment.runs.seed
    first = {key: connectome for key, connectome in drawn.items() if key[1] == seed}
    one = experiment.runs.model_copy(update={"seeds": 1})
    made = {name: c for name, _, c in circuits(first, experiment.network, one)}
    activity = _respond(made.values(), experiment, device, activity=True)["activity"]
    every = -(-activity.sizes["time"] // SAMPLES)
    activity = activity.isel(time=slice(None, None, every)).rename(run="shown", time="sample")
    weights = np.stack([c.weights for c in made.values()])
    spectrum = np.linalg.eigvals(weights)
    parts = np.stack([spectrum.real, spectrum.imag], axis=2)
    with np.errstate(over="ignore"):  # what diverges may leave the range of float32
        activity = activity.astype(np.float32)
    return xr.Dataset(
        {
            "activity": activity,
            "weights": (("shown", "post", "pre"), weights.astype(np.float32)),
            "spectrum": (("shown", "mode", "part"), parts),
        },
        {"shown": np.array(list(made)), "part": np.array(["real", "imaginary"])},
    )


def _respond(
    made: Iterable[Circuit],
    experiment: CircuitRuns,
    device: torch.device,
    *,
    activity: bool = False,
) -> xr.Dataset:
    return respond(
        made,
        experiment.impulse,
        experiment.neurons,
        engine=experiment.runs.engine,
        activity=activity,
        dtype=getattr(torch, experiment.runs.precision),
        device=device,
    )
