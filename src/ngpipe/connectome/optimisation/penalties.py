r"""Penalties on a stimulus: one number per sample, to be kept small.

A penalty is any callable of a stimulus ``(sample, sensor, time)`` and of the layers it leads to,
each ``(neuron, sample)``, whose result is ``(sample,)``. Those made here can be added and
multiplied by numbers:

>>> simple = 0.01 * l1() + 0.1 * smoothness() + 0.001 * l2("activity")

Each measures the stimulus or, with ``"activity"``, the layers: rows r (sensors or
neurons) over times t, each sample by itself:

.. math::
    \|x\|_1 = \sum_{rt} |x_r(t)|, \qquad
    \|x\|_2 = \Big(\sum_{rt} x_r(t)^2\Big)^{1/2}, \qquad
    \sum_{rt} \big(x_r(t + 1) - x_r(t)\big)^2, \qquad
    \sum_g \sqrt{|g|} \, \Big(\sum_{r \in g,\,t} x_r(t)^2\Big)^{1/2}.

Source of the last: Yuan & Lin 2006, J. R. Stat. Soc. B 68:49.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.connectome.optimisation.objectives import PerSample, Weighted
from ngpipe.connectome.step import State
from ngpipe.errors import ArgumentError

Course = Sequence[Tensor]
"""Rows by sample at each time: a stimulus or the layers of a run."""


class Penalty(Weighted):
    """A penalty: a weighted sum of functions of a stimulus and of the layers it leads to."""


def l1(of: str = "stimulus") -> Penalty:
    """Sum of magnitudes."""
    return _penalty(_l1, "L1", of)


def l2(of: str = "stimulus") -> Penalty:
    """Euclidean norm over rows and times."""
    return _penalty(_l2, "L2", of)


def smoothness(of: str = "stimulus") -> Penalty:
    """Sum of squared differences of successive times; 0 for what never changes."""
    return _penalty(_roughness, "roughness in time", of)


def group_sparsity(network: MultilayeredNetwork, of: str = "stimulus") -> Penalty:
    """Sum over groups of Euclidean norms, each times the root of the group's size.

    Whole groups of sensors, or of neurons, go silent together. The size is the number of the
    group's rows: of its sensors for the stimulus.

    Raises:
        ArgumentError: the network has no groups.
    """
    if network.groups is None:
        raise ArgumentError("group_sparsity needs groups; give the network idx_to_group")
    group = network.indices
    _, of_row = group[network.sensory_indices if of == "stimulus" else ...].unique(
        return_inverse=True
    )
    return _penalty(partial(_grouped, of_row), "group sparsity", of)


def _penalty(measure: Callable[[Course], Tensor], name: str, of: str) -> Penalty:
    if of not in ("stimulus", "activity"):
        raise ArgumentError(f"{name}: of is {of!r}, expected 'stimulus' or 'activity'")
    return Penalty.of(partial(_measured, measure, of), f"{name} of {of}")


def _measured(
    measure: Callable[[Course], Tensor],
    of: str,
    stimulus: Float[Tensor, "sample sensor time"],
    layers: Sequence[State],
) -> PerSample:
    return measure(stimulus.permute(2, 1, 0).unbind() if of == "stimulus" else layers)


def _l1(course: Course) -> PerSample:
    return torch.stack([x.abs().sum(dim=0) for x in course]).sum(dim=0)


def _l2(course: Course) -> PerSample:
    norms = torch.stack([torch.linalg.vector_norm(x, dim=0) for x in course])
    return torch.linalg.vector_norm(norms, dim=0)


def _roughness(course: Course) -> PerSample:
    steps = [(after - x).square().sum(dim=0) for x, after in pairwise(course)]
    return torch.stack(steps).sum(dim=0) if steps else torch.zeros_like(course[0][0])


def _grouped(of_row: Int[Tensor, " row"], course: Course) -> PerSample:
    energy = torch.stack([x.square() for x in course]).sum(dim=0)
    size = torch.bincount(of_row).to(energy)
    of_group = energy.new_zeros(len(size), energy.shape[1]).index_add(0, of_row, energy)
    tiny = torch.finfo(energy.dtype).tiny  # the slope of a root at 0 is infinite
    norm = torch.where(of_group > 0, of_group.clamp(min=tiny).sqrt(), 0.0)
    return (size.sqrt()[:, None] * norm).sum(dim=0)
