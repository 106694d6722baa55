"""Read-out of a trained model: connectivity, latents, types, phi*, psi* and input, gauge fixed."""

from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.assembly import gauge
from ngpipe.assembly.detection import detected, noise_width
from ngpipe.assembly.field import Field
from ngpipe.assembly.fitted_input import FittedInput
from ngpipe.assembly.gnn import AssemblyGNN
from ngpipe.assembly.recording import Recording
from ngpipe.assembly.types import cluster, common_range
from ngpipe.config.assembly.recovery import Recovery

NOT_TOLD = "no: no connection is called present, so phi* may have absorbed what W lacks"
"""Said of types that curves seem to have, in a model without a connection."""


@torch.no_grad()
def read_out(
    model: AssemblyGNN,
    recording: Recording,
    cfg: Recovery,
    halves: Float[Tensor, "half post pre"] | None = None,
) -> xr.Dataset:
    """All that was recovered, as ``schemas.RECOVERY`` describes it.

    Args:
        model: the trained model.
        recording: what it was trained on.
        cfg: the recovery section of the config.
        halves: W of either half of the training frames, in the scale of the model [1/tau].
    """
    visited = recording.visited(cfg.visited)
    x = torch.linspace(
        float(visited[:, 0].min()), float(visited[:, 1].max()), cfg.grid, device=visited.device
    )
    offsets = gauge.offsets(model, recording)
    phi = (model.phi_curves(x) + offsets.phi[:, None]).cpu().numpy()
    types = _types(model, phi, x, visited, cfg)
    labels = torch.from_numpy(types).to(x.device)
    scales = gauge.scales(model, recording, labels, cfg.psi_gauge)
    of_halves = None
    if halves is not None:
        of_halves = (halves * scales.connectivity).float().cpu().numpy()
    certainty = {**_certainty(model, scales, cfg, of_halves), **_counts(recording)}
    recovered = xr.Dataset(
        {
            "connectivity": (
                ("post", "pre"),
                (model.connectivity * scales.connectivity).cpu().numpy(),
            ),
            **certainty,
            **_unobserved(model, scales),
            "latent": (("neuron", "component"), model.latent.cpu().numpy()),
            "neuron_type": (("neuron",), types),
            "phi": (("neuron", "x"), phi),
            "visited": (("neuron", "bound"), visited.cpu().numpy()),
        },
        coords={"x": x.cpu().numpy()},
        attrs={
            "gauge": gauge.STATEMENT,
            "psi_gauge": cfg.psi_gauge,
            "n_types": int(types.max()) + 1,
            "types_told": types_told(types, certainty),
            "psi_saturates": "yes" if scales.saturated else gauge.UNSATURATED,
        },
    )
    if of_halves is not None:
        recovered["connectivity_halves"] = ("half", "post", "pre"), of_halves
    return xr.merge(
        [
            recovered,
            _transfer_functions(model, labels, scales, x),
            _external_input(model, recording, offsets, scales, cfg),
            _fitted_inputs(model, scales),
        ],
        combine_attrs="no_conflicts",
    )


def types_told(types: Int[np.ndarray, " neuron"], certainty: dict[str, tuple]) -> str:
    """``yes`` if the groups of neurons may be types, else the reason why not."""
    if types.max() > 0 and "connected" in certainty and not certainty["connected"][1].any():
        return NOT_TOLD
    return "yes"


def agreed_on(told: str, n_types: int, solver: int | None) -> str:
    """The verdict on types, once it is known how many the closed form has distinguished.

    Args:
        told: ``yes``, or why groups of neurons may be no types.
        n_types: number of groups.
        solver: number that the closed form has distinguished; None if it was not asked.
    """
    if told != "yes" or solver is None or solver == n_types:
        return told
    return (
        f"no: the closed form distinguished {solver} types before the networks were fitted to it; "
        "compare both with recovery.n_types"
    )


def types_in_words(recovery: xr.Dataset) -> str:
    """The number of types, or why it is not known."""
    n, told = recovery.attrs["n_types"], recovery.attrs["types_told"]
    if told != "yes":
        why = told.removeprefix("no: ")
        groups = "1 group" if n == 1 else f"{n} groups"
        return f"{groups} of neurons by their phi*; whether they are types is unknown: {why}"
    return f"{n} types" if n > 1 else "one type"


def _types(
    model: AssemblyGNN, phi: np.ndarray, x: Tensor, visited: Tensor, cfg: Recovery
) -> Int[np.ndarray, " neuron"]:
    """Groups of neurons with the same functions; one, if all latents are the same."""
    low, high = common_range(visited.cpu().numpy())
    if (model.latent == model.latent[0]).all():
        return np.zeros(model.n_neurons, dtype=np.int64)
    return cluster(_features(model, phi, x, low, high), cfg)


def _features(
    model: AssemblyGNN, phi: np.ndarray, x: Tensor, low: float, high: float
) -> Float[np.ndarray, "neuron feature"]:
    """Features shared within a type: phi*, and the shape of psi* where it is their own."""
    inside = (x >= low) & (x <= high)
    curves = phi[:, inside.cpu().numpy()].astype(np.float64)
    if model.sees == "activity":
        return curves
    # psi_ii: what the neuron would send to itself shows both its sides.
    own = model.latent, model.latent
    psi = model.psi_curves(*own, x[inside].expand(len(phi), -1))
    at_rest = model.psi_curves(*own, x.new_zeros(len(phi), 1))
    shapes = (psi - at_rest).cpu().numpy().astype(np.float64)
    shapes /= np.sqrt((shapes**2).mean(axis=1, keepdims=True))
    return np.concatenate([curves / np.sqrt((curves**2).mean()), shapes], axis=1)


def _certainty(
    model: AssemblyGNN,
    scales: gauge.Scaling,
    cfg: Recovery,
    halves: Float[np.ndarray, "half post pre"] | None,
) -> dict[str, tuple]:
    """Standard errors of W, and which connections exist; nothing if the model has no errors."""
    scaled = model.connectivity * scales.connectivity
    of_scale = scaled * scales.error
    error = (model.error * scales.connectivity).hypot(of_scale).cpu().numpy()
    weights = scaled.cpu().numpy()
    off = ~np.eye(len(error), dtype=bool)
    # Of a pair that no session sees together, nothing is known: its error is NaN.
    known = off & ~np.isnan(error)
    if not known.any() or not (error[known] > 0).all():
        return {}
    connected = np.zeros(error.shape, dtype=bool)
    noise = None
    if halves is not None:
        noise = noise_width(halves[0, known], halves[1, known], error[known])
    connected[known], width = detected(weights[known] / error[known], cfg.false_discovery, noise)
    about = {"false_discovery": cfg.false_discovery, "null_width": width}
    return {
        "connectivity_error": (("post", "pre"), error),
        "connected": (("post", "pre"), connected, about),
    }


def _unobserved(model: AssemblyGNN, scales: gauge.Scaling) -> dict[str, tuple]:
    """Error of each row by neurons that were not recorded; nothing if it is not known."""
    if bool(model.unobserved_bias.isnan().any()):
        return {}
    scale = scales.connectivity.expand(model.n_neurons, -1).square().mean(1).sqrt()
    return {"unobserved_bias": (("post",), (model.unobserved_bias * scale).cpu().numpy())}


def _counts(recording: Recording) -> dict[str, tuple]:
    """Frames that see both neurons of a pair, where sessions lack some neurons."""
    if recording.sessions is None:
        return {}
    return {"pairs_seen": (("post", "pre"), recording.pairs_seen().cpu().numpy())}


def _transfer_functions(
    model: AssemblyGNN, types: Int[Tensor, " neuron"], scales: gauge.Scaling, x: Tensor
) -> xr.Dataset:
    """Every psi there is, one row a neuron or one a pair of types."""
    receivers, senders = gauge.units(model, types)
    latents = model.latent[receivers], model.latent[senders]
    curves = model.psi_curves(*latents, x.expand(len(receivers), -1))
    at_rest = model.psi_curves(*latents, x.new_zeros(len(receivers), 1))
    psi = ((curves - at_rest) / scales.psi[:, None]).cpu().numpy()
    of = {"of": model.sees}
    if model.sees != "pair":
        rows = np.broadcast_to(psi, (model.n_neurons, len(x)))
        return xr.Dataset({"psi": (("neuron", "x"), rows.copy(), of)})
    kinds = {
        "receiver_type": ("pair", types[receivers].cpu().numpy()),
        "sender_type": ("pair", types[senders].cpu().numpy()),
    }
    return xr.Dataset({"psi": (("pair", "x"), psi, of)}, coords=kinds)


def _fitted_inputs(model: AssemblyGNN, scales: gauge.Scaling) -> xr.Dataset:
    """Coefficients of recorded inputs, per unit of each input, and their standard errors."""
    if not isinstance(model.external, FittedInput):
        return xr.Dataset()
    series = model.external.series
    unit = series.sd.to(scales.external_input) * scales.external_input[:, None]
    about = {"units": "1" if model.mode == "multiplicative" else "1/tau", "mode": model.mode}
    dims = ("neuron", "input")
    found = {"input_coefficient": model.external.coefficients, "input_error": model.external.error}
    return xr.Dataset(
        {name: (dims, (values / unit).cpu().numpy(), about) for name, values in found.items()}
    )


def _external_input(
    model: AssemblyGNN,
    recording: Recording,
    offsets: gauge.Offsets,
    scales: gauge.Scaling,
    cfg: Recovery,
) -> xr.Dataset:
    """The learned input of all neurons at evenly spaced frames."""
    if not isinstance(model.external, Field):
        return xr.Dataset()
    n = len(recording.activity)
    frames = torch.arange(0, n, max(1, n // cfg.input_frames))
    times = recording.times(frames)
    learned: Any = model.omega(times.to(model.latent.device))
    values = ((learned - offsets.external_input) / scales.external_input).cpu().numpy()
    units = "1" if model.mode == "multiplicative" else "1/tau"
    return xr.Dataset(
        {"external_input": (("sample", "neuron"), values, {"units": units})},
        coords={"sample": times.double().numpy(), "sample_frame": ("sample", frames.numpy())},
    )
