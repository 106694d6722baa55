"""Many fits of one network, and one analysis of many connectomes: the role of chance."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, TypeVar

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import Tensor

from ngpipe.connectome.groups import check_indices
from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.connectome.optimisation.fit import Fit
from ngpipe.connectome.optimisation.plan import Plan
from ngpipe.connectome.optimisation.split import split, targets_of
from ngpipe.connectome.parameters import name_array, set_parameters
from ngpipe.errors import ArgumentError

Variant = TypeVar("Variant")

SCALED = {"slopes": "slope", "divisive_strength": "divisive_strength", "tau": "tau_param"}
SHIFTED = {"biases": "raw_biases", "strengths": "log_strengths"}


def ensemble(
    build: Callable[[], MultilayeredNetwork],
    inputs: Any,  # noqa: ANN401
    targets: pd.DataFrame,
    seeds: Sequence[int],
    *,
    jitter: float = 0.1,
    held_out: float | Sequence[int] = 0.2,
    **plan: Any,  # noqa: ANN401
) -> xr.Dataset:
    r"""Fit a network from several random starts and splits, one a seed.

    A member depends on its own seed and on no other member. It starts with trained parameters
    drawn around those built: slopes, divisive strengths and time constants times
    :math:`e^{j \epsilon}`, biases plus :math:`j \epsilon`, strengths of pairs times
    :math:`e^{j \epsilon}`, with jitter j and :math:`\epsilon` standard normal.

    Args:
        build: makes the network, anew for each member.
        inputs: ``(batch, sensor, time)``.
        targets: see :func:`ngpipe.connectome.optimisation.fit.fit`.
        seeds: one a member.
        jitter: how far starts differ [1]; 0: only the splits and mini-batches do.
        held_out: share of the samples held out, drawn anew by each member; or their numbers.
        plan: fields of :class:`~ngpipe.connectome.optimisation.plan.Plan`.

    Returns:
        what :meth:`ngpipe.connectome.optimisation.fit.Fit.result` gives and ``prediction`` by
        ``target``, each with the dim ``member`` (its seeds); ``value`` by ``target``, a row of the
        table, whose coordinates are ``batch``, ``neuron`` and ``layer``. Where a
        member stopped earlier than others its losses are NaN.

    Raises:
        ArgumentError: no seeds or one given twice; see
            :func:`ngpipe.connectome.optimisation.fit.fit`.
    """
    if not len(seeds) or len(set(seeds)) < len(seeds):
        raise ArgumentError(f"seeds are {list(seeds)}, expected at least one, each once")
    chosen = Plan(**plan)
    members = []
    for seed in seeds:
        network, generator = build(), torch.Generator().manual_seed(int(seed))
        _jitter(network, chosen.train, jitter, generator)
        parts = split(network, inputs, targets, held_out, generator)
        run = Fit(network, *parts, chosen, generator)
        for _ in run:
            pass
        result = run.result()
        result["prediction"] = ("target", _predicted(network, inputs, targets))
        members.append(result)
    data = _stacked(members, pd.Index([int(seed) for seed in seeds], name="member"), "outer")
    data["prediction"].attrs = {"long_name": "activity of the targets after the fit", "units": "1"}
    data["value"] = ("target", targets["value"].to_numpy(dtype=np.float64, copy=True))
    data["value"].attrs = {"long_name": "activity aimed at", "units": "1"}
    columns = {"batch": "batch", "neuron_idx": "neuron", "layer": "layer"}
    return data.assign_coords(
        {
            new: ("target", targets[old].to_numpy(copy=True))
            for old, new in columns.items()
            if old in targets
        }
    )


@torch.no_grad()
def predict(
    build: Callable[[], MultilayeredNetwork],
    members: xr.Dataset,
    inputs: Any,  # noqa: ANN401
    neurons: Sequence[int] | None = None,
) -> xr.Dataset:
    """Responses of the members of an ensemble to new inputs.

    Args:
        build: makes the network that was fitted.
        members: of :func:`ensemble`.
        inputs: ``(batch, sensor, time)``.
        neurons: of interest; default all.

    Returns:
        ``mean`` and ``spread`` (standard deviation, n - 1; NaN of one member) over members, by
        ``sample``, ``neuron`` and ``layer``.

    Raises:
        ArgumentError: parameters of another network, inputs or neurons that do not fit.
    """
    network = build()
    batch, _ = network.as_inputs(inputs)
    wanted = np.arange(network.n_neurons) if neurons is None else np.asarray(neurons)
    rows = torch.as_tensor(check_indices(wanted, network.n_neurons, "neurons")).to(network.device)
    mean, squares = torch.zeros(()), torch.zeros(())
    for k in range(members.sizes["member"]):
        set_parameters(network, members.isel(member=k))
        activity = torch.stack([x[rows] for x in network.run(batch)])
        off = activity - mean.to(activity)
        mean = mean.to(activity) + off / (k + 1)
        squares = squares.to(activity) + off * (activity - mean)
    spread = (squares / (members.sizes["member"] - 1)).sqrt()
    return xr.Dataset(
        {
            "mean": _activity(mean, "mean over members"),
            "spread": _activity(spread, "standard deviation over members"),
        },
        coords={
            "sample": np.arange(len(batch)),
            "neuron": rows.cpu().numpy(),
            "layer": np.arange(network.num_layers),
        }
        | _group_of(network, rows),
    )


def over(
    variants: Iterable[Variant], analyse: Callable[[Variant], xr.Dataset | xr.DataArray]
) -> xr.Dataset | xr.DataArray:
    """An analysis of each of several connectomes, as of draws of a null.

    Args:
        variants: taken one at a time: a generator keeps one connectome in memory.
        analyse: gives the same dims and coordinates for each.

    Returns:
        the results with the dim ``variant`` (0, 1, ...) in front.

    Raises:
        ArgumentError: no variants.
        ValueError: coordinates that differ (by xarray).
    """
    results = [analyse(variant) for variant in variants]
    if not results:
        raise ArgumentError("there are no variants; give at least one connectome")
    return _stacked(results, pd.RangeIndex(len(results), name="variant"), "exact")


def _stacked(results: list, labels: pd.Index, join: Literal["exact", "outer"]) -> Any:  # noqa: ANN401
    options: dict[str, Any] = {"data_vars": "all"} if isinstance(results[0], xr.Dataset) else {}
    return xr.concat(results, labels, join=join, coords="minimal", compat="override", **options)


@torch.no_grad()
def _jitter(
    network: MultilayeredNetwork,
    names: Sequence[str],
    scale: float,
    generator: torch.Generator,
) -> None:
    if "strengths" in names:
        network.add_strengths()
    for name in names:
        parameter = getattr(network, {**SCALED, **SHIFTED}[name])
        if parameter is None:
            continue
        drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        drawn = (scale * drawn).to(parameter)
        if name in SCALED:
            parameter.mul_(drawn.exp())
        else:
            parameter.add_(drawn)


@torch.no_grad()
def _predicted(network: MultilayeredNetwork, inputs: Any, targets: pd.DataFrame) -> np.ndarray:  # noqa: ANN401
    """Activity of each row of the table, in its order."""
    batch, _ = network.as_inputs(inputs)
    order = np.arange(len(targets))
    if "layer" in targets:  # targets are sorted by layer
        order = np.argsort(targets["layer"].to_numpy(), kind="stable")
    reached = targets_of(network, targets, len(batch)).reached(network.run(batch))
    predicted = np.empty(len(targets))
    predicted[order] = reached.cpu().numpy()
    return predicted


def _activity(values: Tensor, long_name: str) -> xr.DataArray:
    array = values.permute(2, 1, 0).cpu().numpy()
    attributes = {"long_name": f"activity, {long_name}", "units": "1"}
    return xr.DataArray(array, dims=("sample", "neuron", "layer"), attrs=attributes)


def _group_of(network: MultilayeredNetwork, rows: Tensor) -> dict[str, Any]:
    if network.groups is None:
        return {}
    names = name_array(network.groups.names)
    return {"group": ("neuron", names[network.groups.of_neuron[rows.cpu().numpy()]])}
