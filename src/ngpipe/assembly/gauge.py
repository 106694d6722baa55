r"""Every freedom that the data leave open, fixed here and nowhere else, without the truth.

The rate :math:`\phi_i(x_i) + \Omega_i \sum_j W_{ij} \psi_{ij}(x_j)` is unchanged by

- scale of psi: :math:`\psi_{ij} \to s_{ij} \psi_{ij}`, :math:`W_{ij} \to W_{ij} / s_{ij}`, one s
  for each psi there is. Fixed by its saturation: half the difference between its values at the two
  ends of the range that its senders' type visits is 1. Or, where psi does not saturate there: by
  the weights that belong to it, which have the robust scale of those of the flattest psi.
- offset of psi: :math:`\psi \to \psi + k`, :math:`\phi_i \to \phi_i - k \Omega_i \sum_j W_{ij}`.
  Fixed by psi(0) = 0. Where Omega varies in time the data know k; its mean is taken.
- scale of a multiplicative Omega: :math:`\Omega_i \to s_i \Omega_i`, :math:`W_{i\cdot} \to
  W_{i\cdot} / s_i`. Fixed by the rows of W: those of driven and of other neurons come from one
  distribution. The scale of a row of n weights is known to about :math:`1.5/\sqrt{n}`, 3 % at
  2000, so the image that follows, which does not depend on s, is smoothed over the sites.
- recorded inputs with fitted coefficients: phi (additive) and W (multiplicative) are those at
  inputs of 0.
- offset of an additive Omega: :math:`\Omega_i \to \Omega_i + k_i`, :math:`\phi_i \to \phi_i - k_i`.
  Fixed by phi_i(0), which is taken to be that of the typical neuron without input.
"""

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.arrays import Connectivity, PerNeuron
from ngpipe.assembly.field import Field
from ngpipe.assembly.fitted_input import FittedInput
from ngpipe.assembly.gnn import AssemblyGNN
from ngpipe.assembly.recording import Recording
from ngpipe.errors import DivergenceError

STATEMENT = (
    "psi(0) = 0; the scale of psi is fixed as psi_gauge says; W absorbs the scale, phi_i the "
    "offset times the row sum of W; rows of W of driven neurons have the scale of the others, a "
    "multiplicative input the inverse; an additive input has no part that phi_i(0) could carry"
)
UNSATURATED = (
    "no: a visited range is too short for its psi to become flat, so its scale, and that of the "
    "weights it belongs to, is that of the range and not of the saturation"
)
SATURATED = 0.02
"""Relative change of psi over the outer twentieth of its range that still counts as flat."""
TUNING = 2.0
"""c of the robust scale."""
SCALE_VARIANCE = 2.25
"""Variance of the logarithm of the robust scale of n Cauchy distributed values, times n."""
LEAST = 0.02
"""Omega at inputs of 0, relative to its mean, below which weights are not known there."""
INPUT_FRAMES = 250
"""Frames over which an input is averaged."""


@dataclass(frozen=True)
class Offsets:
    """Offsets, fixed before types are known: zero of psi and of a drive."""

    phi: PerNeuron
    """Offset to add to phi_i [1/tau]."""
    external_input: PerNeuron
    """Offset to subtract from an additive Omega_i [1/tau]."""


@dataclass(frozen=True)
class Scaling:
    """Divisors of the learned psi and Omega, and factors of the rows of W."""

    psi: Float[Tensor, " unit"]
    """Scale of every psi there is, in the order of :func:`units`."""
    connectivity: Float[Tensor, "post pre"]
    """The same and the input's at every weight; a dimension is 1 where nothing depends on it."""
    external_input: PerNeuron
    """Scale of a multiplicative Omega_i."""
    error: Float[Tensor, "post pre"]
    """Relative standard error of every weight from that of the scales; dimensions as above."""
    saturated: bool
    """True if every psi is flat at the ends of its range."""


@torch.no_grad()
def offsets(model: AssemblyGNN, recording: Recording) -> Offsets:
    """Offsets that give psi(0) = 0 and leave neurons with an additive input no drive of their own.

    Args:
        model: the trained model.
        recording: source of the times over which a multiplicative input is averaged.
    """
    received = (model.connectivity * psi_at_rest(model)).sum(1)
    nothing = torch.zeros_like(received)
    if isinstance(model.external, FittedInput) and model.mode == "additive":
        return Offsets(received + model.external.at_zero, nothing)
    if model.mode == "multiplicative":
        return Offsets(received * _inputs(model, recording).mean(0), nothing)
    if not isinstance(model.external, Field):
        return Offsets(received, nothing)
    at_rest = model.phi_curves(nothing[:1])[:, 0] + received
    driven = model.external.driven
    others = torch.ones_like(at_rest, dtype=torch.bool)
    others[driven] = False
    typical = at_rest[others].median() if others.any() else at_rest.new_zeros(())
    drive = nothing.index_copy(0, driven, typical - at_rest[driven])
    return Offsets(received + drive, drive)


@torch.no_grad()
def scales(
    model: AssemblyGNN,
    recording: Recording,
    types: Int[Tensor, " neuron"],
    psi_gauge: Literal["saturation", "columns"] = "saturation",
    *,
    smooth: bool = True,
) -> Scaling:
    """Scales of psi and of a multiplicative input.

    Args:
        model: the trained model.
        recording: source of the activities that psi is read at.
        types: recovered type of every neuron; a sender's range is that of its type.
        psi_gauge: what fixes the scale of psi, as ``config.recovery`` says.
        smooth: pool the scale of the input over neighbouring sites.

    Raises:
        DivergenceError: a psi has the same value at both ends: it transmits nothing.
    """
    psi, rise = psi_scale(model, recording, types)
    of_psi = torch.zeros_like(psi)
    if psi_gauge == "columns":
        factor, of_psi = alike(model, types, psi, rise)
        psi = psi * factor
    of_weight = _as_matrix(psi, model, types)
    external = torch.ones(model.n_neurons, device=psi.device)
    row_error = torch.zeros_like(external)
    if isinstance(model.external, Field) and model.mode == "multiplicative":
        image = _inputs(model, recording)[:, model.external.driven].log().mean(0).exp()
        weights = model.connectivity * of_weight
        external, row_error = input_scale(weights, image, model.external, smooth=smooth)
    if isinstance(model.external, FittedInput) and model.mode == "multiplicative":
        external = coupling_at_zero(model.external)
    saturated = bool(rise.max() < SATURATED)
    error = torch.hypot(_as_matrix(of_psi, model, types), row_error[:, None])
    return Scaling(psi, of_weight * external[:, None], external, error, saturated)


def coupling_at_zero(external: FittedInput) -> PerNeuron:
    """Omega where every recorded input is 0: W is the coupling there.

    Raises:
        DivergenceError: it is so small that W there is not known.
    """
    found = external.at_zero
    if bool((found.abs() < LEAST).any()):
        k = int(found.abs().argmin())
        raise DivergenceError(
            f"multiplicative inputs: where all inputs are 0, neuron {k} receives "
            f"{float(found[k]):.2g} of the usual, so its weights there are not known; subtract the "
            "mean from the inputs, so that W is the coupling at the usual input"
        )
    return found


def psi_at_rest(model: AssemblyGNN) -> Float[Tensor, "post pre"]:
    """psi_ij(0) as learned; a dimension is 1 where it does not depend on receiver or sender."""
    sent = model.sent(torch.zeros(model.n_neurons, device=model.latent.device))
    if model.sees in ("activity", "receiver"):
        sent = sent[:1]
    return sent.T if model.gates is None else model.gates(model.latent) @ sent.T


def psi_scale(
    model: AssemblyGNN, recording: Recording, types: Int[Tensor, " neuron"]
) -> tuple[Float[Tensor, " unit"], Float[Tensor, " unit"]]:
    """Scale of every psi from its saturation, and its relative change over the outer 5 %."""
    x = recording.activity[recording.training_sample(2_000)]
    if model.sees in ("activity", "receiver"):
        types = torch.zeros_like(types)  # everyone's activity is read by the same psi
    ends = torch.stack(
        [visited_ends(recording.values(x[:, types == k])) for k in range(int(types.max()) + 1)]
    )
    receivers, senders = units(model, types)
    points = ends[types[senders]]
    curves = model.psi_curves(model.latent[receivers], model.latent[senders], points.flatten(1))
    low, high = curves.unflatten(1, points.shape[1:]).unbind(1)
    inner, outer = (high - low)[:, 0] / 2, (high - low)[:, 1:] / 2
    half = outer.mean(1)
    flat = torch.nonzero(half.abs() <= 1e-6 * curves.abs().amax(1))
    if len(flat):
        raise DivergenceError(
            f"psi of neuron {int(senders[flat[0, 0]])} has the same value at both ends of the "
            "visited range: the model transmits nothing, so its scale is undefined; lower "
            "training.penalties on psi, or training.learning_rate.functions"
        )
    return half, (inner / half - 1).abs()


def units(
    model: AssemblyGNN, types: Int[Tensor, " neuron"]
) -> tuple[Int[Tensor, " unit"], Int[Tensor, " unit"]]:
    """Receiver and sender of every psi there is: one, one a neuron, or one a pair of types.

    A type is stood for by the neuron whose latent is nearest to the type's mean.
    """
    everyone = torch.arange(model.n_neurons, device=model.latent.device)
    if model.sees == "activity":
        return everyone[:1], everyone[:1]
    if model.sees != "pair":
        return everyone, everyone
    typical = []
    for kind in range(int(types.max()) + 1):
        members = everyone[types == kind]
        latents = model.latent[members]
        typical.append(members[(latents - latents.mean(0)).square().sum(1).argmin()])
    chosen = torch.stack(typical)
    return chosen.repeat_interleave(len(chosen)), chosen.repeat(len(chosen))


def row_scale(weights: Connectivity) -> PerNeuron:
    """Robust scale of the off-diagonal entries of every row."""
    off = ~torch.eye(len(weights), dtype=torch.bool, device=weights.device)
    return robust_scale(weights[off].view(len(weights), -1))


def robust_scale(values: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch"]:
    r"""Robust scale of many values, in float64.

    The r that solves :math:`\sum_j w_j^2 / (w_j^2 + (c r)^2) = n / (1 + c)` with c = 2: the scale
    of Cauchy distributed values. c = 1 would be their maximum likelihood, with an error of
    :math:`\sqrt{2 / n}` instead of :math:`\sqrt{2.25 / n}` (``SCALE_VARIANCE``); but errors of the
    values, which differ from row to row, inflate it more.
    """
    squared = values.double().square()
    scale = squared.mean(dim=-1).clamp_min(1e-300)
    for _ in range(200):
        share = (squared / (squared + TUNING**2 * scale[..., None])).mean(-1)
        factor = (TUNING * share / (1 - share)).clamp(0.1, 10)
        scale = scale * factor
        if (factor - 1).abs().max() < 1e-6:
            break
    return scale.sqrt()


def input_scale(
    weights: Connectivity, image: Float[Tensor, " site"], field: Field, *, smooth: bool = True
) -> tuple[PerNeuron, PerNeuron]:
    """Scale of every neuron's multiplicative input, as learned, and its relative standard error.

    Without input it is 1, and certain.

    The estimate of the true image, learned image times row scale, does not depend on it.

    Args:
        weights: W in the fixed gauge of psi.
        image: geometric mean over time of the learned input of the driven neurons.
        field: says who is driven and where.
        smooth: pool the image over neighbouring sites.
    """
    if len(field.driven) == len(weights):
        # Nobody to compare with: the mean over time and sites is 1.
        same = (image.log().mean()).exp() * weights.new_ones(len(weights)).float()
        return same, torch.zeros_like(same)
    learned = image.double().log()
    estimate, error = image_from_rows(weights, field, learned, smooth=smooth)
    ratio = (learned - estimate.to(image.device)).exp()
    full = torch.ones(len(weights), device=weights.device)
    certain = torch.zeros_like(full)
    return (
        full.index_copy(0, field.driven, ratio.float()),
        certain.index_copy(0, field.driven, error.to(full)),
    )


def image_from_rows(
    weights: Connectivity,
    field: Field,
    learned: Float[Tensor, " site"] | float = 0.0,
    *,
    smooth: bool = True,
) -> tuple[Float[Tensor, " site"], Float[Tensor, " site"]]:
    """Logarithm of the true image, from how large the rows of driven neurons are; its error.

    Args:
        weights: W.
        field: says who is driven and where.
        learned: logarithm of the image that goes with the rows as they are; 0 if that is 1.
        smooth: pool the image over neighbouring sites.
    """
    scale = row_scale(weights)
    driven = torch.zeros(len(weights), dtype=torch.bool, device=weights.device)
    driven[field.driven] = True
    if driven.all():
        return torch.zeros_like(scale), torch.zeros_like(scale)
    estimate = learned + scale[field.driven].log() - scale[~driven].log().mean()
    others = scale[~driven].log()
    # With one other neuron, the error that Cauchy weights would have.
    error = float(others.std()) if len(others) > 1 else (2 / len(weights)) ** 0.5
    if not smooth:
        return estimate, torch.full_like(estimate, error)
    mean, left = smoothed(estimate.cpu().numpy(), field.position.cpu().numpy(), error)
    return mean.to(estimate), left.to(estimate)


def smoothed(
    values: Float[np.ndarray, " site"], position: Float[np.ndarray, "site 2"], error: float
) -> tuple[Float[Tensor, " site"], Float[Tensor, " site"]]:
    """Values at sites without their independent errors of known size, and the errors left.

    Gaussian-process regression.

    Matern covariance of order 3/2, its variance and length by maximum marginal likelihood
    (Rasmussen & Williams 2006, chapters 2 and 5).
    """
    spread = max(float(values.var() - error**2), 1e-3 * error**2)
    # Loading scikit-learn takes a second, which every step would pay that reads no model out.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern

    kernel = ConstantKernel(spread, (1e-2 * spread, 1e2 * spread)) * Matern(
        0.2, (1e-2, 1e1), nu=1.5
    )
    process = GaussianProcessRegressor(kernel, alpha=error**2)
    mean = values.mean()
    with warnings.catch_warnings():
        # Variance or length at a bound: nothing but errors, or none. Both are smoothed rightly.
        warnings.simplefilter("ignore", ConvergenceWarning)
        process.fit(position, values - mean)
    smooth, left = process.predict(position, return_std=True)
    return torch.from_numpy(mean + smooth), torch.from_numpy(left)


def visited_ends(activity: Float[Tensor, "*any"], n: int = 33) -> Float[Tensor, "2 m"]:
    """Activities at both ends of the visited range.

    First the 5 % quantile from either side, where a psi that saturates is flat already; then ``n``
    from 0.2 to 0.05 %. The outermost 0.05 % are left out: few frames, so psi is badly known there.
    """
    ordered = activity.flatten().sort().values
    outer = torch.linspace(0.002, 0.0005, n, device=activity.device)
    levels = torch.cat([outer.new_tensor([0.05]), outer])
    rank = (levels * (len(ordered) - 1)).long()
    return torch.stack([ordered[rank], ordered[len(ordered) - 1 - rank]])


def alike(
    model: AssemblyGNN, types: Int[Tensor, " neuron"], psi: Tensor, rise: Tensor
) -> tuple[Float[Tensor, " unit"], Float[Tensor, " unit"]]:
    """Factor on the scale of every psi that makes the weights it belongs to alike; its error.

    Weights are grouped by the types that psi depends on; the group of the flattest psi stays as it
    is. Rows of driven neurons, whose own scale is open, first get that of the typical other row.
    """
    receivers, senders = units(model, types)
    one_group = torch.zeros_like(types)
    post = types if model.sees in ("receiver", "pair") else one_group
    pre = types if model.sees in ("sender", "pair") else one_group
    weights = model.connectivity * _as_matrix(psi, model, types)
    if isinstance(model.external, Field) and model.mode == "multiplicative":
        rows = row_scale(weights)
        driven = model.external.sites.spread(torch.ones_like(rows[model.external.driven]), 0.0) > 0
        typical = rows[~driven].log().mean().exp() if not driven.all() else rows.new_ones(())
        weights = weights * torch.where(driven, typical / rows, 1.0)[:, None]
    off = ~torch.eye(len(weights), dtype=torch.bool, device=weights.device)
    group = post[:, None] * (int(pre.max()) + 1) + pre[None, :]
    groups = [weights[off & (group == k)] for k in range(int(group.max()) + 1)]
    # A type of one neuron sends nothing to itself: there is no weight whose scale could differ.
    scale = torch.stack(
        [robust_scale(g) if len(g) else rise.new_tensor(1.0).double() for g in groups]
    )
    of_unit = group[receivers, senders]
    anchor = of_unit[rise.argmin()]
    sizes = torch.tensor([max(len(g), 1) for g in groups], device=scale.device)
    error = (SCALE_VARIANCE * (1 / sizes[anchor] + 1 / sizes[of_unit])).sqrt()
    error = torch.where(of_unit == anchor, 0.0, error)
    return (scale[anchor] / scale[of_unit]).float(), error.float()


def _inputs(model: AssemblyGNN, recording: Recording) -> Float[Tensor, "time neuron"]:
    """The model's input over the recording, as learned."""
    frames = torch.arange(
        0, len(recording.activity), max(1, len(recording.activity) // INPUT_FRAMES)
    )
    omega: Any = model.omega(recording.times(frames).to(model.latent.device))
    return omega


def _as_matrix(values: Float[Tensor, " unit"], model: AssemblyGNN, types: Tensor) -> Tensor:
    """Values of the psi there are, at the pairs of neurons they belong to."""
    if model.sees == "activity":
        return values[:, None]
    if model.sees == "sender":
        return values[None, :]
    if model.sees == "receiver":
        return values[:, None]
    n = int(types.max()) + 1
    return values.view(n, n)[types][:, types]
