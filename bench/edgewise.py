"""The assembly model edge by edge, as message-passing code writes it: for comparison only."""

import torch
from torch import Tensor

from ngpipe.arrays import Activity, Rate
from ngpipe.assembly.gnn import AssemblyGNN
from ngpipe.assembly.objective import fit


def edges(n_neurons: int) -> tuple[Tensor, Tensor]:
    """All ordered pairs (post, pre) of different neurons."""
    post, pre = torch.meshgrid(torch.arange(n_neurons), torch.arange(n_neurons), indexing="ij")
    different = post != pre
    return post[different], pre[different]


def rate(model: AssemblyGNN, x: Activity, post: Tensor, pre: Tensor) -> Rate:
    """dx/dt of one frame: psi* evaluated on every edge, messages summed at the receivers."""
    messages = model.connectivity[post, pre] * model.psi(x[pre])[:, 0]
    incoming = torch.zeros_like(x).index_add(0, post, messages)
    return model.scales.rate * model.phi_of(x) + incoming


def step(
    model: AssemblyGNN, optimizer: torch.optim.Optimizer, x: Activity, target: Rate, *ends: Tensor
) -> None:
    """One optimiser step on one frame; ``ends`` are those of :func:`edges`."""
    loss = fit(rate(model, x, *ends), target, model.scales.rate)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
