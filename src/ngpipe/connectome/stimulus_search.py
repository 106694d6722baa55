r"""Search stimuli that bring neurons to target activities.

For each sample on its own, with targets v, stimulus u and activities x:

.. math::
    L = \frac{1}{T} \sum_t (x_{n_t}^{(l_t)} - v_t)^2
        + \lambda_\text{in} (\|u\|_1 + \|u\|_2) + \lambda_\text{out} (\|x\|_1 + \|x\|_2)

The stimulus is held within a box by projection after each step, so that a step is in units of
activity and a bound is reached, not approached; gradients pass bounds and thresholds
(:class:`ngpipe.connectome.step.Held`), so that none of them is dead. What is returned is the best
stimulus met, and its losses are the last ones reported.

``preset="seed"``: one loss of all samples, gradients that stop at bounds, and the tanh of the last
stimulus returned, as in connectome_interpreter 2.8.1.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ngpipe.connectome.groups import check_count
from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.connectome.progress import Progress
from ngpipe.connectome.step import State
from ngpipe.connectome.targets import TargetActivation, Targets, as_targets
from ngpipe.errors import ArgumentError, DivergenceError

SNAPSHOT_EVERY = 5
"""Iterations from snapshot to snapshot."""
LINE_EVERY = 10
"""Iterations from line to line, if lines are asked for."""
BOUNDS = (0.0, 1.0)
"""Box of a stimulus where none is given [1]."""

Penalty = Callable[[Tensor], Tensor]
Found = tuple[np.ndarray, np.ndarray, list[float], list[float], list[float], list[np.ndarray]]


@dataclass(frozen=True)
class Options:
    """How to search."""

    iterations: int
    rate: float
    in_lambda: float
    out_lambda: float
    penalties: Mapping[str, Penalty]
    window: int | None
    """Iterations whose losses must agree to stop; None: never stop early."""
    tolerance: float
    normalize: bool
    bounds: tuple[float, float]
    checkpoint_steps: int | None


@dataclass
class Trace:
    """Losses by iteration, means over the samples, and snapshots of the stimuli."""

    act: list[float] = field(default_factory=list)
    out: list[float] = field(default_factory=list)
    ins: list[float] = field(default_factory=list)
    snapshots: list[np.ndarray] = field(default_factory=list)

    def add(self, terms: Mapping[str, Tensor]) -> dict[str, float]:
        """Note the losses of an iteration."""
        numbers = {name: float(value.detach().mean()) for name, value in terms.items()}
        self.act.append(numbers["activation_loss"])
        self.out.append(numbers["out_regularisation_loss"])
        self.ins.append(numbers["in_regularisation_loss"])
        return numbers


def activation_maximisation(  # noqa: PLR0913 (the signature of existing scripts)
    model: MultilayeredNetwork,
    target_activations: TargetActivation,
    input_tensor: Any = None,  # noqa: ANN401
    num_iterations: int = 50,
    learning_rate: float = 0.1,
    in_reg_lambda: float = 0.01,
    out_reg_lambda: float = 0.01,
    custom_reg_functions: Mapping[str, Penalty] | None = None,
    early_stopping: bool = True,
    stopping_threshold: float = 1e-5,
    n_runs: int = 10,
    use_tqdm: bool = True,
    print_output: bool = True,
    device: torch.device | str | None = None,
    wandb: bool = False,
    seed: int | None = None,
    normalize_gradients: bool = False,
    quiet: bool = True,
    restarts: int = 1,
    bounds: tuple[float, float] = BOUNDS,
    checkpoint_steps: int | None = None,
) -> Found:
    """Find stimuli that bring neurons to their targets.

    Args:
        model: the network; its parameters stay as they are.
        target_activations: what is wanted in each sample.
        input_tensor: where to start, ``(batch, sensor, layer)``; by default uniform in the box.
        num_iterations: steps of Adam.
        learning_rate: of Adam [1].
        in_reg_lambda: weight of the stimulus penalty.
        out_reg_lambda: weight of the activity penalty.
        custom_reg_functions: ``{"in": f, "out": g}`` in place of L1 + L2: functions of one
            sample's ``(1, sensor, layer)`` stimulus and ``(1, neuron, layer)`` activity.
            ``preset="seed"``: of the whole batch.
        early_stopping: leave a sample alone whose losses over ``n_runs`` iterations differ by
            less than ``stopping_threshold``. ``preset="seed"``: stop all of them together.
        stopping_threshold: see there.
        n_runs: see there.
        use_tqdm: a progress bar, unless quiet.
        print_output: lines of losses, unless quiet.
        device: ignored; the network's device is used.
        wandb: also log to Weights & Biases.
        seed: of the random starts; one sample starts alike in every batch it is at place b of.
        normalize_gradients: divide the gradient at each time step by its norm.
        quiet: no progress bar and no lines.
        restarts: random starts a sample, run as one batch; the best is returned.
        bounds: box of the stimulus [1]. ``preset="seed"``: not used.
        checkpoint_steps: see :meth:`MultilayeredNetwork.forward`.

    Returns:
        stimulus ``(batch, sensor, layer)``; activity ``(batch, neuron, layer)``; by iteration the
        activation loss, activity penalty, stimulus penalty; snapshots of the stimulus every 5
        iterations. A batch of one has no batch axis.

    Raises:
        ArgumentError: targets out of range, a start of another shape.
        DivergenceError: a loss that is not finite.
    """
    n_samples = int(target_activations.batch_size)
    targets = _targets_of(model, target_activations)
    options = Options(
        iterations=check_count("num_iterations", num_iterations, 0),
        rate=learning_rate,
        in_lambda=in_reg_lambda,
        out_lambda=out_reg_lambda,
        penalties=custom_reg_functions or {},
        window=check_count("n_runs", n_runs, 1) if early_stopping else None,
        tolerance=stopping_threshold,
        normalize=normalize_gradients,
        bounds=bounds if model.rules.mended else BOUNDS,
        checkpoint_steps=checkpoint_steps,
    )
    progress = Progress(
        bar=use_tqdm and not quiet,
        lines=print_output and not quiet,
        wandb=wandb,
        project="connectome_interpreter",
    )
    copies = 1 if input_tensor is not None else check_count("restarts", restarts, 1)
    start = _start(model, input_tensor, n_samples, copies, seed, options.bounds)
    if model.rules.mended:
        search = _Search(model, targets.repeated(copies, n_samples), options)
        stimulus, trace = search.run(start, copies, progress)
    else:
        stimulus, trace = _search_of_seed(model, targets, options, start, progress)
    with torch.no_grad():
        output = torch.stack(model.run(stimulus)).permute(2, 1, 0)
        model.activations = output
    found = (_array(stimulus), _array(output), trace.act, trace.out, trace.ins, trace.snapshots)
    return _without_batch(found) if n_samples == 1 else found


class _Search:
    """Projected Adam on the stimuli of many samples that do not know of one another."""

    def __init__(self, model: MultilayeredNetwork, targets: Targets, options: Options) -> None:
        self.model, self.targets, self.options = model, targets, options

    def run(self, start: Tensor, copies: int, progress: Progress) -> tuple[Tensor, Trace]:
        """The best stimulus of each sample, ``(batch, sensor, layer)``."""
        options, trace = self.options, Trace()
        n = len(start) // copies
        u = start.clone().requires_grad_(True)
        optimizer = torch.optim.Adam([u], lr=options.rate)
        best, least = start.clone(), torch.full_like(start[:, 0, 0], torch.inf)
        moving, losses = torch.ones_like(least, dtype=torch.bool), []
        for iteration in progress.over(range(options.iterations)):
            if iteration % SNAPSHOT_EVERY == 0:
                trace.snapshots.append(_array(u[:n]))
            terms = self._terms(u, surrogate=True)
            total = self._total(terms, iteration)
            best, least = _keep(best, least, u.detach(), total.detach())
            progress.tell(f"iteration {iteration}", trace.add(terms), LINE_EVERY, iteration)
            losses.append(total.detach())
            moving &= ~_settled(losses, options)
            if not moving.any():
                break
            self._move(u, total, optimizer, moving)
        return self._chosen(best, least, u.detach(), copies, trace)

    @torch.no_grad()
    def _chosen(
        self, best: Tensor, least: Tensor, last: Tensor, copies: int, trace: Trace
    ) -> tuple[Tensor, Trace]:
        """The best of the restarts of each sample; its losses end the trace."""
        total = self._total(self._terms(last), self.options.iterations)
        best, least = _keep(best, least, last, total)
        choice = least.reshape(copies, -1).argmin(dim=0)
        n = len(best) // copies
        rows = choice * n + torch.arange(n, device=best.device)
        terms = self._terms(best)
        trace.add({name: value[rows] for name, value in terms.items()})
        return best[rows], trace

    def _terms(self, u: Tensor, surrogate: bool = False) -> dict[str, Tensor]:
        """Losses by sample."""
        options = self.options
        every = options.checkpoint_steps if surrogate else None
        layers = self.model.run(u, surrogate=surrogate, checkpoint_steps=every)
        off = (self.targets.reached(layers) - self.targets.value).square()
        return {
            "activation_loss": self.targets.of_samples(off, len(u)),
            "out_regularisation_loss": options.out_lambda * self._out_penalty(layers, u),
            "in_regularisation_loss": options.in_lambda * self._in_penalty(u),
        }

    def _in_penalty(self, u: Tensor) -> Tensor:
        if not self.options.in_lambda:
            return u.new_zeros(len(u))
        if "in" in self.options.penalties:
            return torch.stack([self.options.penalties["in"](one[None]) for one in u])
        return u.abs().sum((1, 2)) + torch.linalg.vector_norm(u, dim=(1, 2))

    def _out_penalty(self, layers: Sequence[State], u: Tensor) -> Tensor:
        if not self.options.out_lambda:
            return u.new_zeros(len(u))
        if "out" in self.options.penalties:
            whole = torch.stack(list(layers)).permute(2, 1, 0)
            return torch.stack([self.options.penalties["out"](one[None]) for one in whole])
        size = torch.stack([x.abs().sum(dim=0) for x in layers]).sum(dim=0)
        norms = torch.stack([torch.linalg.vector_norm(x, dim=0) for x in layers])
        return size + torch.linalg.vector_norm(norms, dim=0)

    def _total(self, terms: Mapping[str, Tensor], iteration: int) -> Tensor:
        total = torch.stack(list(terms.values())).sum(dim=0)
        if not torch.isfinite(total).all():
            sample = int((~torch.isfinite(total)).nonzero()[0])
            raise DivergenceError(
                f"the loss of sample {sample} is {total[sample].item()} at iteration {iteration}: "
                "lower learning_rate or look for slopes and biases that are too large"
            )
        return total

    def _move(
        self, u: Tensor, total: Tensor, optimizer: torch.optim.Optimizer, moving: Tensor
    ) -> None:
        """One step of the samples that still move, back into the box."""
        if not total.requires_grad:
            return
        before = u.detach().clone()
        optimizer.zero_grad(set_to_none=True)
        total.sum().backward()
        if self.options.normalize:
            _normalise_in_time(u)
        optimizer.step()
        with torch.no_grad():
            u.clamp_(*self.options.bounds)
            u[~moving] = before[~moving]


def _keep(best: Tensor, least: Tensor, u: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
    better = total < least
    return torch.where(better[:, None, None], u, best), torch.where(better, total, least)


def _settled(losses: Sequence[Tensor], options: Options) -> Tensor:
    """Samples whose last losses agree."""
    if options.window is None or len(losses) <= options.window + 1:
        return torch.zeros_like(losses[-1], dtype=torch.bool)
    last = torch.stack(list(losses[-options.window :]))
    return last.amax(dim=0) - last.amin(dim=0) < options.tolerance


def _normalise_in_time(u: Tensor) -> None:
    norm = torch.linalg.vector_norm(u.grad, dim=1, keepdim=True)
    u.grad = torch.where(norm > 0, u.grad / norm.clamp(min=torch.finfo(u.dtype).tiny), u.grad)


def _search_of_seed(
    model: MultilayeredNetwork,
    targets: Targets,
    options: Options,
    start: Tensor,
    progress: Progress,
) -> tuple[Tensor, Trace]:
    """Adam on one loss of all samples; the tanh of the last stimulus."""
    u, trace, losses = start.clone().requires_grad_(True), Trace(), []
    optimizer = torch.optim.Adam([u], lr=options.rate)
    for iteration in progress.over(range(options.iterations)):
        layers = model.run(u, checkpoint_steps=options.checkpoint_steps)
        if iteration % SNAPSHOT_EVERY == 0:
            trace.snapshots.append(_array(_squashed(u.detach(), model.threshold)))
        terms = _terms_of_seed(u, layers, targets, options)
        loss = torch.stack(list(terms.values())).sum()
        losses.append(loss.detach())
        if _settled(losses, options):
            break
        progress.tell(f"iteration {iteration}", trace.add(terms), LINE_EVERY, iteration)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if options.normalize:
            _normalise_in_time(u)
        optimizer.step()
    return _squashed(u.detach(), model.threshold), trace


def _terms_of_seed(
    u: Tensor, layers: Sequence[State], targets: Targets, options: Options
) -> dict[str, Tensor]:
    whole = torch.stack(list(layers)).permute(2, 1, 0)
    off = (targets.reached(layers) - targets.value).square()
    penalty_in = options.penalties.get("in", _l1_and_l2)
    penalty_out = options.penalties.get("out", _l1_and_l2)
    return {
        "activation_loss": targets.of_samples(off, len(u)).mean(),
        "in_regularisation_loss": options.in_lambda * penalty_in(u),
        "out_regularisation_loss": options.out_lambda * penalty_out(whole),
    }


def _l1_and_l2(x: Tensor) -> Tensor:
    return x.abs().sum() + torch.linalg.vector_norm(x)


def _squashed(u: Tensor, threshold: float) -> Tensor:
    return torch.tanh(torch.where(u >= threshold, u, 0.0))


def _start(
    model: MultilayeredNetwork,
    given: Any,  # noqa: ANN401
    n_samples: int,
    copies: int,
    seed: int | None,
    bounds: tuple[float, float],
) -> Tensor:
    """Where each sample starts, ``(restart * batch, sensor, layer)``."""
    shape = (len(model.sensory_indices), model.num_layers)
    low, high = bounds
    if not low < high:
        raise ArgumentError(f"bounds are {bounds}, expected (low, high) with low below high")
    if given is None:
        entropy = np.random.SeedSequence(seed).entropy
        drawn = [
            np.random.default_rng([int(entropy), restart, sample]).random(shape)
            for restart in range(copies)
            for sample in range(n_samples)
        ]
        return torch.from_numpy(low + (high - low) * np.stack(drawn)).to(model.w_values)
    if tuple(given.shape) != (n_samples, *shape):
        raise ArgumentError(
            f"Expected input shape (batch_size={n_samples}, num_input_neurons={shape[0]}, "
            f"num_layers={shape[1]}), got {tuple(given.shape)}"
        )
    start, _ = model.as_inputs(given)
    start = start.detach().clone()
    return start.clamp_(low, high) if model.rules.mended else start


def _targets_of(model: MultilayeredNetwork, wanted: TargetActivation) -> Targets:
    table = wanted.targets_df.drop_duplicates(["batch", "layer", "neuron"], keep="last")
    return as_targets(
        table,
        neuron="neuron",
        n=model.n_neurons,
        layers=model.num_layers,
        samples=int(wanted.batch_size),
        like=model.w_values,
    )


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().copy()


def _without_batch(found: Found) -> Found:
    stimulus, output, act, out, ins, snapshots = found
    return stimulus[0], output[0], act, out, ins, [snapshot[0] for snapshot in snapshots]
