"""Named terms of the training loss; the loss is their sum.

Names are the columns of training.csv; an ablation is a weight of zero in the config, not a flag.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ngpipe.arrays import Rate
from ngpipe.assembly.gnn import AssemblyGNN
from ngpipe.config.assembly.training import Penalties

Scalar = Float[Tensor, ""]


def fit(predicted: Rate, target: Rate, rate_scale: float) -> Scalar:
    """Mean squared error of the rate, in units of the mean squared target."""
    return ((predicted - target) / rate_scale).square().mean()


def penalties(
    model: AssemblyGNN, psi_table: Float[Tensor, "neuron x"], weight: Penalties
) -> dict[str, Scalar]:
    """The regularisers with a weight above zero, each multiplied by its weight.

    Args:
        model: the model in training.
        psi_table: psi* of every neuron with itself, on ascending activities that cover the
            visited range.
        weight: weight of each term.
    """
    rest = torch.zeros((), device=psi_table.device)
    terms = {
        "connectivity_l1": lambda: model.connectivity.abs().mean(),
        "connectivity_l2": lambda: model.connectivity.square().mean(),
        "phi_zero": lambda: model.phi(rest, model.latent).square().mean(),
        "psi_monotone": lambda: torch.relu(-psi_table.diff()).square().mean(),
        "psi_scale": lambda: (psi_table[..., -1] - 1).square().mean(),
        "phi_weights_l2": lambda: _mean_square(model.phi),
        "psi_weights_l2": lambda: _mean_square(model.psi, model.gates),
        "latent_l2": lambda: model.latent.square().mean(),
    }
    weights = {name: getattr(weight, name) for name in terms}
    return {name: weights[name] * terms[name]() for name in terms if weights[name]}


def _mean_square(*modules: nn.Module | None) -> Scalar:
    parameters = [p.flatten() for m in modules if m is not None for p in m.parameters()]
    return torch.cat(parameters).square().mean()
