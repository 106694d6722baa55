"""Impulse responses of many circuits, by exact propagation or by steps."""

from collections.abc import Iterable, Iterator
from itertools import groupby, islice

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ngpipe.circuit.blocks import Circuit
from ngpipe.circuit.linear import Timing, propagate
from ngpipe.circuit.measures import leading_eigenvalue
from ngpipe.circuit.rates import pulse, rate_drift, step
from ngpipe.config.circuit.impulse import Impulse
from ngpipe.config.circuit.rates import Neurons
from ngpipe.errors import ArgumentError

ENGINES = ("linear", "step")

CACHE = 2**22
"""Bytes of weights that a CPU steps at a time: more do not stay in its cache."""
MEMORY = 2**33
"""Bytes of activity that a GPU holds at a time."""


@torch.no_grad()
def respond(
    circuits: Circuit | Iterable[Circuit],
    impulse: Impulse,
    neurons: Neurons,
    *,
    engine: str = "linear",
    activity: bool = False,
    dtype: torch.dtype = torch.float64,
    device: str | torch.device = "cpu",
) -> xr.Dataset:
    """Responses to the pulse from rest, one run for each circuit.

    The engine ``linear`` propagates, in float64, and checks itself: a run in which a unit
    rectifies is stepped from there on, and one that amplifies rounding is stepped as a whole. So
    the activity of all neurons, as a vector, differs from that of ``step`` in float64 by at most
    1e-8 of its length at that time, or of what a millionth of the pulse would make of it if that
    is more. Circuits of one size that follow one another are run together, as many as cache or
    memory hold, and taken from an iterator no sooner than that.

    Args:
        circuits: networks, of any sizes.
        impulse: the pulse, and the steps of time.
        neurons: how neurons answer.
        engine: ``linear`` or ``step``.
        activity: give the activity of every neuron too, all circuits being of one size.
        dtype: precision of weights, steps and results.
        device: where they run.

    Returns:
        ``excitatory`` and ``inhibitory`` (run, time), mean activity of either kind (0 where there
        is none); ``stepped_from`` (run), the time from which a run was stepped, 0 if as a whole,
        not a number if never; ``eigenvalue`` (run), the largest real part of the eigenvalues of W,
        not a number where rounding hides it; with ``activity=True`` also ``activity`` (run, time,
        neuron).

    Raises:
        ArgumentError: an unknown engine, ``linear`` for a response that saturates, dt beyond tau,
            no circuit, circuits of several sizes for one array of activity.
    """
    _check(engine, impulse, neurons)
    networks = [circuits] if isinstance(circuits, Circuit) else circuits
    run = _propagated if engine == "linear" else _stepped
    parts: list[tuple[np.ndarray, ...]] = []
    for batch in _batches(networks, impulse, dtype, torch.device(device)):
        n_exc = batch[0].n_exc
        weights = torch.from_numpy(np.stack([c.weights for c in batch])).to(device, dtype)
        readout = _readout(weights, n_exc, activity)
        readings, stepped = run(weights, impulse, neurons, n_exc, readout)
        eigenvalues = [leading_eigenvalue(c.weights).real for c in batch]
        parts.append((readings.cpu().numpy(), stepped.cpu().numpy(), np.array(eigenvalues)))
    return _dataset(parts, impulse)


def _check(engine: str, impulse: Impulse, neurons: Neurons) -> None:
    if engine not in ENGINES:
        raise ArgumentError(f"engine is '{engine}', expected one of {', '.join(ENGINES)}")
    if engine == "linear" and neurons.response == "saturating":
        raise ArgumentError(
            "engine='linear' propagates linear and threshold-linear neurons, not saturating ones; "
            "use engine='step'"
        )
    if impulse.dt > neurons.tau:
        raise ArgumentError(
            f"dt is {impulse.dt:g} s, expected at most tau, {neurons.tau:g} s: longer steps "
            "overshoot; lower it"
        )


def _batches(
    circuits: Iterable[Circuit], impulse: Impulse, dtype: torch.dtype, device: torch.device
) -> Iterator[tuple[Circuit, ...]]:
    """Circuits of one size that follow one another, as many as fit."""
    for (n, _), alike in groupby(circuits, lambda c: (len(c), c.n_exc)):
        item = dtype.itemsize * n
        most = CACHE // (item * n) if device.type == "cpu" else MEMORY // (item * impulse.n_steps)
        while batch := tuple(islice(alike, max(1, most))):
            yield batch


def _propagated(
    weights: Tensor, impulse: Impulse, neurons: Neurons, n_exc: int, readout: Tensor
) -> tuple[Tensor, Tensor]:
    """Readings (run, time, read), and the step from which each run was stepped."""
    drive = pulse(impulse, n_exc, weights)
    timing = Timing(impulse.dt / neurons.tau, impulse.n_steps, impulse.first, impulse.last)
    rectify = neurons.response == "threshold_linear"
    found = propagate(weights, drive(impulse.start), timing, rectify=rectify)
    readings = found.read(readout.double()).to(weights.dtype)
    since = torch.full_like(found.valid, impulse.n_steps)
    for runs in (found.lost, ~found.lost & (found.valid < impulse.n_steps - 1)):
        if not runs.any():
            continue
        first = int(found.valid[runs].min())
        since[runs] = first
        readings[runs, first:] = step(
            rate_drift(weights[runs], drive, neurons),
            found.activity(first)[runs].to(weights.dtype),
            dt=impulse.dt,
            n_steps=impulse.n_steps,
            first=first,
            readout=readout,
        )
    return readings, since


def _stepped(
    weights: Tensor, impulse: Impulse, neurons: Neurons, n_exc: int, readout: Tensor
) -> tuple[Tensor, Tensor]:
    """The same, stepped from the start."""
    readings = step(
        rate_drift(weights, pulse(impulse, n_exc, weights), neurons),
        weights.new_zeros(weights.shape[:2]),
        dt=impulse.dt,
        n_steps=impulse.n_steps,
        first=0,
        readout=readout,
    )
    return readings, torch.zeros(len(weights), dtype=torch.int64)


def _readout(weights: Tensor, n_exc: int, activity: bool) -> Tensor:
    """Matrix that reads the mean of either kind, and every neuron if asked for, (neuron, read)."""
    n = weights.shape[-1]
    means = weights.new_zeros(n, 2)
    means[:n_exc, 0] = 1 / n_exc
    means[n_exc:, 1] = 1 / max(1, n - n_exc)
    if not activity:
        return means
    return torch.cat([means, torch.eye(n, dtype=weights.dtype, device=weights.device)], dim=1)


def _dataset(parts: list[tuple[np.ndarray, ...]], impulse: Impulse) -> xr.Dataset:
    sizes = {readings.shape[2] - 2 for readings, *_ in parts}
    if not sizes:
        raise ArgumentError("there is no circuit to run; give at least one")
    if len(sizes) > 1:
        raise ArgumentError(
            f"circuits have {sorted(sizes)} neurons, expected one size where the activity of all "
            "is wanted; run one size at a time, or without activity=True"
        )
    readings, stepped, eigenvalues = (np.concatenate(part) for part in zip(*parts, strict=True))
    since = np.where(stepped < impulse.n_steps, stepped * impulse.dt, np.nan)
    found = {
        "excitatory": _named(readings[..., 0], ("run", "time"), "mean excitatory activity"),
        "inhibitory": _named(readings[..., 1], ("run", "time"), "mean inhibitory activity"),
        "stepped_from": _named(since, ("run",), "time from which the run was stepped", "s"),
        "eigenvalue": _named(eigenvalues, ("run",), "largest real part of the eigenvalues of W"),
    }
    if readings.shape[2] > 2:
        found["activity"] = _named(readings[..., 2:], ("run", "time", "neuron"), "activity")
    time = _named(impulse.times, ("time",), "time", "s")
    return xr.Dataset(found, coords={"time": time})


def _named(values: np.ndarray, dims: tuple[str, ...], name: str, units: str = "1") -> xr.DataArray:
    return xr.DataArray(values, dims=dims, attrs={"long_name": name, "units": units})
