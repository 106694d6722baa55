r"""Search for stimuli with your own objective, from many starts at once.

For each sample with objective O, penalty P and starts k = 1 .. K,

.. math::
    \max_{u_1 \dots u_K} \; \sum_k \Big( O(u_k) - P(u_k)
        - \frac{\gamma}{K - 1} \sum_{j \ne k} \cos^2(u_j, u_k) \Big),
    \qquad u \in [\text{low}, \text{high}]

with the diversity :math:`\gamma`, which lets starts settle in different optima. With synapse noise
O and P are means over draws that are fresh in every iteration.

The descent is that of :mod:`ngpipe.connectome.optimisation.descent`: projected Adam, gradients that
pass bounds and thresholds (:class:`ngpipe.connectome.step.Held`). A sigmoid of free variables is
the other way to keep a stimulus in its box. Objective less penalty, means over the same 8 (optic
lobe: 4) random starts after 80 (40) iterations, each with the best of three rates:

==========================================  =========  =======  ==========================
network                                     projected  sigmoid  projected, no gradient
                                                                beyond bounds
==========================================  =========  =======  ==========================
200 random neurons, 6 layers, 0.001 L1      0.911      0.885    0.811
a second                                    0.575      0.553    0.456
a third                                     0.883      0.873    0.877
the first without penalty                   0.924      0.759    0.625
the second without penalty                  0.570      0.509    0.370
the third without penalty                   0.903      0.897    0.800
optic lobe, radius 3, 12 layers, a T4a      0.129      0.136    0.128
a T5c, which hardly responds                -0.006     0.001    0.000
a TmY15                                     0.190      0.189    0.205
==========================================  =========  =======  ==========================
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor
from torch.nn.functional import normalize

from ngpipe.connectome.groups import check_count
from ngpipe.connectome.labels import sensor_coords
from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.connectome.optimisation.descent import Descent, Options
from ngpipe.connectome.optimisation.noise import SynapseNoise, check_size
from ngpipe.connectome.schedule import Changes, Schedule
from ngpipe.connectome.step import State
from ngpipe.errors import ArgumentError

Objective = Callable[[Sequence[State]], Tensor]
Penalty = Callable[[Tensor, Sequence[State]], Tensor]

LONG_NAMES = {
    "stimulus": "stimulus, starts from the best to the worst",
    "best": "best stimulus",
    "objective": "objective",
    "penalty": "penalty",
    "similarity": "mean squared cosine with the other stimuli of the sample",
    "noisy_objective": "mean objective under synapse noise",
    "trace": "objective less penalty and similarity",
}


def find_stimuli(  # noqa: PLR0913 (every option has a default)
    network: MultilayeredNetwork,
    objective: Objective | Sequence[Objective],
    *,
    generator: torch.Generator,
    penalty: Penalty | None = None,
    starts: int = 8,
    diversity: float = 0.0,
    samples: int | None = None,
    iterations: int = 100,
    rate: float = 0.1,
    bounds: tuple[float, float] = (0.0, 1.0),
    initial: Any = None,  # noqa: ANN401
    schedule: Schedule | None = None,
    synapse_noise: float = 0.0,
    noise_samples: int = 4,
    patience: int | None = 10,
    tolerance: float = 1e-5,
    checkpoint_steps: int | None = None,
) -> xr.Dataset:
    """Find stimuli that maximise an objective.

    Args:
        network: the network; its parameters stay as they are.
        objective: of the layers, see :mod:`ngpipe.connectome.optimisation.objectives`; or one for
            each sample.
        generator: source of random starts and of synapse noise.
        penalty: of stimulus and layers, see :mod:`ngpipe.connectome.optimisation.penalties`.
        starts: stimuli searched for each sample, all in one batch.
        diversity: weight of the similarity of a sample's stimuli.
        samples: how many; default: as many as there are objectives.
        iterations: most steps of Adam.
        rate: of Adam [1].
        bounds: box of the stimulus [1].
        initial: where the first start of each sample begins, ``(sample, sensor, time)``. The
            others begin uniformly in the box.
        schedule: interventions, see :mod:`ngpipe.connectome.schedule`.
        synapse_noise: relative size, see :mod:`ngpipe.connectome.optimisation.noise`.
        noise_samples: draws of synapse noise in every iteration; memory grows with them.
        patience: a stimulus stops that changed its loss by less than ``tolerance`` in so many
            iterations; None: never. With diversity the stimuli of a sample stop together; under
            synapse noise losses seldom settle.
        tolerance: see there [1].
        checkpoint_steps: see :meth:`MultilayeredNetwork.forward`.

    Returns:
        ``stimulus`` ``(start, sample, sensor, time)``, starts sorted from the best to the worst,
        and ``best`` ``(sample, sensor, time)``, the first of them. Each is the best of its
        descent: by objective less penalty, with diversity by the mean of that and similarity over
        the sample's starts, with synapse noise by what was drawn. ``objective``, ``penalty``,
        ``similarity`` ``(start, sample)`` are theirs, without noise. ``noisy_objective``: mean
        over new draws, the same for all starts; sorted by, where there is noise. ``trace``
        ``(iteration, start, sample)``: what was maximised. For activity: ``network(best)``.

    Raises:
        ArgumentError: an argument that does not fit; the message names it.
        DivergenceError: a loss that is not finite.
    """
    objectives = [objective] if callable(objective) else list(objective)
    samples = _sample_count(objectives, samples)
    starts = _start_count(starts, diversity)
    options = Options(
        iterations=check_count("iterations", iterations, 0),
        rate=rate,
        bounds=bounds,
        window=None if patience is None else check_count("patience", patience, 1),
        tolerance=tolerance,
        coupled=diversity > 0,
        rate_name="rate",
    )
    problem = _Problem(
        network=network,
        objective=objectives[0] if len(objectives) == 1 else _BySample(objectives),
        penalty=penalty or _none,
        diversity=float(diversity),
        samples=samples,
        changes=network.changes(schedule, samples, starts),
        noise=SynapseNoise(network, generator),
        noise_size=check_size("synapse_noise", synapse_noise),
        draws=check_count("noise_samples", noise_samples, 1),
        checkpoint_steps=checkpoint_steps,
    )
    begin = _begin(network, initial, (starts, samples), bounds, generator)
    descent = Descent(problem.losses, begin, samples, options)
    for _ in descent.over(range(options.iterations)):
        pass
    found = _found(problem, descent)
    found.attrs |= {
        "objective": " | ".join(map(_name, objectives)),
        "penalty": "none" if penalty is None else _name(penalty),
        "diversity": problem.diversity,
        "bounds": [float(bound) for bound in bounds],
        "rate": float(rate),
        "synapse_noise": problem.noise_size,
    }
    return found


@dataclass(frozen=True)
class _Problem:
    """The search problem; rows are all samples for the first start, then for the second, ..."""

    network: MultilayeredNetwork
    objective: Objective
    penalty: Penalty
    diversity: float
    samples: int
    changes: Changes
    noise: SynapseNoise
    noise_size: float
    draws: int
    checkpoint_steps: int | None

    def losses(self, u: Tensor) -> dict[str, Tensor]:
        """Terms of the loss, with surrogate gradients and noise."""
        options: dict[str, Any] = {"surrogate": True, "checkpoint_steps": self.checkpoint_steps}
        if self.noise_size:
            drawn = [self._noisy(self.noise.draw(), u, **options) for _ in range(self.draws)]
        else:
            drawn = [self.network.run(u, self.changes, **options)]
        values = [self.values(u, layers) for layers in drawn]
        terms = {
            "objective": -torch.stack([of for of, _ in values]).mean(dim=0),
            "penalty": torch.stack([cost for _, cost in values]).mean(dim=0),
        }
        if self.diversity:
            terms["similarity"] = self.diversity * self.similarity(u)
        return terms

    def values(self, u: Tensor, layers: Sequence[State]) -> tuple[Tensor, Tensor]:
        """Objective and penalty, ``(row,)`` each."""
        of = _checked(self.objective(layers), len(u), "objective", self.objective)
        return of, _checked(self.penalty(u, layers), len(u), "penalty", self.penalty)

    def similarity(self, u: Tensor) -> Tensor:
        """Mean squared cosine with the other stimuli of the sample, ``(row,)``; 0 without any."""
        unit = normalize(u.unflatten(0, (-1, self.samples)).flatten(2), dim=-1)
        cosine = torch.einsum("jnk,mnk->jmn", unit, unit)
        others = 1 - torch.eye(len(unit), dtype=u.dtype, device=u.device)[:, :, None]
        return ((cosine.square() * others).sum(dim=1) / max(len(unit) - 1, 1)).flatten()

    def noisy_objective(self, u: Tensor) -> Tensor:
        """Mean of the objective over new draws."""
        drawn = [self._noisy(self.noise.draw(), u) for _ in range(self.draws)]
        return torch.stack([self.objective(layers) for layers in drawn]).mean(dim=0)

    def _noisy(self, draw: Any, u: Tensor, **options: Any) -> list[State]:  # noqa: ANN401
        return self.noise.run(draw, self.noise_size, u, self.changes, **options)


@dataclass(frozen=True)
class _BySample:
    """An objective for each sample, as one of all rows."""

    objectives: Sequence[Objective]

    def __call__(self, layers: Sequence[State]) -> Tensor:
        n = len(self.objectives)
        of_samples = zip(*(x.unflatten(1, (-1, n)).unbind(2) for x in layers), strict=True)
        values = [
            _checked(one(own), own[0].shape[1], "objective", one)
            for one, own in zip(self.objectives, of_samples, strict=True)
        ]
        return torch.stack(values, dim=1).flatten()


@torch.no_grad()
def _found(problem: _Problem, descent: Descent) -> xr.Dataset:
    """Results by start and sample; each sample's starts sorted from the best to the worst."""
    network, u = problem.network, descent.best
    of, cost = problem.values(u, network.run(u, problem.changes))
    by_row = {"objective": of, "penalty": cost, "similarity": problem.similarity(u)}
    rank = of - cost
    if problem.noise_size:
        by_row["noisy_objective"] = problem.noisy_objective(u)
        rank = by_row["noisy_objective"] - cost
    by_row |= {"stimulus": u, "trace": -torch.stack(descent.losses, dim=1)}
    arrays = {
        name: rows.unflatten(0, (-1, problem.samples)).cpu().numpy()
        for name, rows in by_row.items()
    }
    order = np.argsort(-rank.unflatten(0, (-1, problem.samples)).cpu().numpy(), 0, "stable")
    last = {"stimulus": ("sensor", "time"), "trace": ("iteration",)}
    found = xr.Dataset()
    for name, array in arrays.items():
        extra = last.get(name, ())
        place = order.reshape(order.shape + (1,) * len(extra))
        dims = ("start", "sample", *extra)
        attrs = {"long_name": LONG_NAMES[name], "units": "1"}
        found[name] = (dims, np.take_along_axis(array, place, axis=0), attrs)
    found["trace"] = found["trace"].transpose("iteration", "start", "sample")
    found["best"] = found["stimulus"].isel(start=0).assign_attrs(long_name=LONG_NAMES["best"])
    times = ("time", np.arange(network.num_layers), {"units": "steps"})
    return found.assign_coords(**sensor_coords(network), time=times)


def _sample_count(objectives: Sequence[Objective], samples: int | None) -> int:
    if not objectives:
        raise ArgumentError("objective is empty; give one, or one for each sample")
    samples = check_count("samples", len(objectives) if samples is None else samples, 1)
    if len(objectives) not in (1, samples):
        raise ArgumentError(
            f"there are {len(objectives)} objectives for {samples} samples; give one, or one each"
        )
    return samples


def _start_count(starts: int, diversity: float) -> int:
    starts = check_count("starts", starts, 1)
    if not diversity >= 0 or (diversity and starts < 2):
        raise ArgumentError(
            f"diversity is {diversity} with {starts} starts, expected at least 0, and at least 2 "
            "starts where it is above 0"
        )
    return starts


def _begin(
    network: MultilayeredNetwork,
    initial: Any,  # noqa: ANN401
    counts: tuple[int, int],
    bounds: tuple[float, float],
    generator: torch.Generator,
) -> Tensor:
    """Start of the search, ``(start * sample, sensor, time)``."""
    (starts, samples), (low, high) = counts, bounds
    if not math.isfinite(high - low):
        raise ArgumentError(f"bounds are {bounds}, expected finite ones: starts are drawn in them")
    shape = (samples, len(network.sensory_indices), network.num_layers)
    drawn = torch.rand((starts, *shape), generator=generator, device=generator.device)
    begin = (low + (high - low) * drawn).to(network.w_values)
    if initial is not None:
        given, _ = network.as_inputs(
            initial.to_numpy() if isinstance(initial, xr.DataArray) else initial
        )
        if tuple(given.shape) != shape:
            raise ArgumentError(
                f"initial has shape {tuple(given.shape)}, expected (sample, sensor, time) {shape}"
            )
        begin[0] = given.clamp(low, high)
    return begin.flatten(0, 1)


def _none(u: Tensor, layers: Sequence[State]) -> Tensor:
    return u.new_zeros(len(u))


def _checked(values: Tensor, rows: int, kind: str, what: Callable) -> Tensor:
    if tuple(values.shape) != (rows,):
        raise ArgumentError(
            f"{kind} {_name(what)} gave shape {tuple(values.shape)}, expected one number for each "
            f"of {rows} samples: reduce over neurons and times, not over samples"
        )
    return values


def _name(function: Callable) -> str:
    for attribute in ("name", "__name__"):
        if hasattr(function, attribute):
            return getattr(function, attribute)
    return repr(function)
