r"""Search for stimuli that drive neurons to target activities.

For each sample on its own, with targets v, stimulus u and activities x:

.. math::
    L = \frac{1}{T} \sum_t (x_{n_t}^{(l_t)} - v_t)^2
        + \lambda_\text{in} (\|u\|_1 + \|u\|_2) + \lambda_\text{out} (\|x\|_1 + \|x\|_2)

The search is :class:`ngpipe.connectome.optimisation.descent.Descent`; gradients pass bounds and
thresholds (:class:`ngpipe.connectome.step.Held`), so that none of them is dead. What is
returned is the best stimulus met, and its losses are the last ones reported. For objectives and
penalties of one's own there is :func:`ngpipe.connectome.optimisation.search.find_stimuli`.

All that is so with ``preset="mended"``. The versions of connectome_interpreter, and the presets
named after them, have one loss of all samples, and gradients that stop at bounds; they return the
last stimulus, in 2.9.5 its tanh, in the head cut to [-1, 1].
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ngpipe.connectome.groups import check_count
from ngpipe.connectome.interpreter.call_progress import Progress
from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.connectome.optimisation.descent import Descent, Options, settled
from ngpipe.connectome.optimisation.penalties import l1, l2
from ngpipe.connectome.optimisation.targets import TargetActivation, Targets, as_targets
from ngpipe.connectome.step import State
from ngpipe.errors import ArgumentError

SNAPSHOT_EVERY = 5
"""Iterations from snapshot to snapshot."""
LINE_EVERY = 10
"""Iterations from line to line, if lines are asked for."""
BOUNDS = (0.0, 1.0)
"""Box of a stimulus where none is given [1]."""

Penalty = Callable[[Tensor], Tensor]
Found = tuple[np.ndarray, np.ndarray, list[float], list[float], list[float], list[np.ndarray]]


@dataclass(frozen=True)
class Penalties:
    """Weights of the penalties, and functions in place of L1 + L2."""

    in_lambda: float
    out_lambda: float
    custom: Mapping[str, Penalty]


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
    """Find stimuli that drive neurons to their targets.

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
            Presets of versions: of the whole batch.
        early_stopping: leave a sample alone whose losses over ``n_runs`` iterations differ by
            less than ``stopping_threshold``. Presets of versions: stop all of them together.
        stopping_threshold: see there.
        n_runs: see there.
        use_tqdm: a progress bar, unless quiet.
        print_output: lines of losses, unless quiet.
        device: ignored; the network's device is used.
        wandb: also log to Weights & Biases.
        seed: of the random starts; one sample starts alike in every batch it is at place b of.
            Presets of versions: the start is the one that torch draws from its global generator,
            or from one with this seed.
        normalize_gradients: divide the gradient at each time step by its norm, of each sample.
            Presets of versions: that of the whole batch.
        quiet: no progress bar and no lines.
        restarts: random starts a sample, run as one batch; the best is returned. Only with
            ``preset="mended"``.
        bounds: box of the stimulus [1]. Only with ``preset="mended"``.
        checkpoint_steps: see :meth:`MultilayeredNetwork.forward`.

    Returns:
        stimulus ``(batch, sensor, layer)``; activity ``(batch, neuron, layer)``; by iteration the
        activation loss, activity penalty, stimulus penalty; snapshots of the stimulus every 5
        iterations. A batch of one has no batch axis.

    Raises:
        ArgumentError: targets out of range, a start of another shape, an argument that only
            ``preset="mended"`` has.
        DivergenceError: a loss that is not finite.
    """
    n_samples = int(target_activations.batch_size or 1)
    targets = _targets_of(model, target_activations)
    options = Options(
        iterations=check_count("num_iterations", num_iterations, 0),
        rate=learning_rate,
        bounds=bounds,
        window=check_count("n_runs", n_runs, 1) if early_stopping else None,
        tolerance=stopping_threshold,
        normalize=normalize_gradients,
    )
    penalties = Penalties(in_reg_lambda, out_reg_lambda, custom_reg_functions or {})
    run = partial(model.run, checkpoint_steps=checkpoint_steps)
    progress = Progress(
        bar=use_tqdm and not quiet,
        lines=print_output and not quiet,
        wandb=wandb,
        project="connectome_interpreter",
    )
    copies = _copies(model, input_tensor, restarts, bounds)
    start = _start(model, input_tensor, n_samples, copies, seed, options.bounds)
    if model.rules.mended:
        losses = _Losses(targets.repeated(copies, n_samples), penalties)
        descent = Descent(lambda u: losses(u, run(u, surrogate=True)), start, n_samples, options)
        stimulus, trace = _search(descent, progress)
    else:
        of_version = partial(_losses_of_version, targets, penalties)
        last, trace = _search_of_version(model, run, of_version, start, options, progress)
        stimulus = _squashed(model, last)
    found = _found(model, stimulus, trace, _Losses(targets, penalties))
    return _without_batch(found) if n_samples == 1 else found


def _copies(
    model: MultilayeredNetwork,
    given: Any,  # noqa: ANN401
    restarts: int,
    bounds: tuple[float, float],
) -> int:
    """Starts of each sample; more than one, and bounds, are options of one preset alone."""
    copies = 1 if given is not None else check_count("restarts", restarts, 1)
    if not model.rules.mended and (copies, bounds) != (1, BOUNDS):
        raise ArgumentError(
            f"restarts are {restarts} and bounds {bounds}, but preset {model.rules.version!r} has "
            "neither; build the network with preset='mended', or use find_stimuli"
        )
    return copies


@torch.no_grad()
def _found(model: MultilayeredNetwork, stimulus: Tensor, trace: Trace, losses: "_Losses") -> Found:
    """What is returned of a stimulus: with the activity that it causes, and its own losses last."""
    layers = model.run(stimulus)
    if model.rules.mended:
        trace.add(losses(stimulus, layers))
    output = torch.stack(layers).permute(2, 1, 0)
    model.activations = output
    return _array(stimulus), _array(output), trace.act, trace.out, trace.ins, trace.snapshots


def _search(descent: Descent, progress: Progress) -> tuple[Tensor, Trace]:
    """The best stimulus of each sample, of all its restarts."""
    trace, n = Trace(), descent.samples
    steps = progress.over(range(descent.options.iterations))
    for iteration, terms in descent.over(steps):
        if iteration % SNAPSHOT_EVERY == 0:
            trace.snapshots.append(_array(descent.stimuli[:n]))
        progress.tell(f"iteration {iteration}", trace.add(terms), LINE_EVERY, iteration)
    choice = descent.least.reshape(-1, n).argmin(dim=0)
    return descent.best[choice * n + torch.arange(n, device=choice.device)], trace


@dataclass(frozen=True)
class _Losses:
    """Losses by sample."""

    targets: Targets
    penalties: Penalties

    def __call__(self, u: Tensor, layers: Sequence[State]) -> dict[str, Tensor]:
        off = (self.targets.reached(layers) - self.targets.value).square()
        weights = self.penalties
        return {
            "activation_loss": self.targets.of_samples(off, len(u)),
            "out_regularisation_loss": weights.out_lambda * self._out_penalty(u, layers),
            "in_regularisation_loss": weights.in_lambda * self._in_penalty(u, layers),
        }

    def _in_penalty(self, u: Tensor, layers: Sequence[State]) -> Tensor:
        if not self.penalties.in_lambda:
            return u.new_zeros(len(u))
        if "in" in self.penalties.custom:
            return torch.stack([self.penalties.custom["in"](one[None]) for one in u])
        return (l1() + l2())(u, layers)

    def _out_penalty(self, u: Tensor, layers: Sequence[State]) -> Tensor:
        if not self.penalties.out_lambda:
            return u.new_zeros(len(u))
        if "out" in self.penalties.custom:
            whole = torch.stack(list(layers)).permute(2, 1, 0)
            return torch.stack([self.penalties.custom["out"](one[None]) for one in whole])
        return (l1("activity") + l2("activity"))(u, layers)


def _search_of_version(
    model: MultilayeredNetwork,
    run: Callable[[Tensor], list[State]],
    losses: Callable[[Tensor, Sequence[State]], dict[str, Tensor]],
    start: Tensor,
    options: Options,
    progress: Progress,
) -> tuple[Tensor, Trace]:
    """Adam on one loss of all samples; the last stimulus."""
    u, trace, totals = start.clone().requires_grad_(True), Trace(), []
    optimizer = torch.optim.Adam([u], lr=options.rate)
    for iteration in progress.over(range(options.iterations)):
        if iteration % SNAPSHOT_EVERY == 0:
            trace.snapshots.append(_array(_tanh(u.detach(), model.threshold)))
        terms = losses(u, run(u))
        loss = torch.stack(list(terms.values())).sum()
        totals.append(loss.detach())
        if settled(totals, options):
            break
        progress.tell(f"iteration {iteration}", trace.add(terms), LINE_EVERY, iteration)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if options.normalize:
            u.grad /= torch.linalg.vector_norm(u.grad, dim=(0, 1), keepdim=True) + 1e-8
        optimizer.step()
    return u.detach(), trace


def _losses_of_version(
    targets: Targets, penalties: Penalties, u: Tensor, layers: Sequence[State]
) -> dict[str, Tensor]:
    whole = torch.stack(list(layers)).permute(2, 1, 0)
    off = (targets.reached(layers) - targets.value).square()
    penalty_in = penalties.custom.get("in", _l1_and_l2)
    penalty_out = penalties.custom.get("out", _l1_and_l2)
    return {
        "activation_loss": targets.of_samples(off, len(u)).mean(),
        "in_regularisation_loss": penalties.in_lambda * penalty_in(u),
        "out_regularisation_loss": penalties.out_lambda * penalty_out(whole),
    }


def _l1_and_l2(x: Tensor) -> Tensor:
    return x.abs().sum() + torch.linalg.vector_norm(x)


def _squashed(model: MultilayeredNetwork, u: Tensor) -> Tensor:
    """The last stimulus, as a version returns it."""
    return u.clamp(-1.0, 1.0) if model.rules.version == "head" else _tanh(u, model.threshold)


def _tanh(u: Tensor, threshold: float) -> Tensor:
    return torch.tanh(torch.where(u >= threshold, u, 0.0))


def _start(
    model: MultilayeredNetwork,
    given: Any,  # noqa: ANN401
    n_samples: int,
    copies: int,
    seed: int | None,
    bounds: tuple[float, float],
) -> Tensor:
    """Start of each sample, ``(restart * batch, sensor, layer)``."""
    shape = (len(model.sensory_indices), model.num_layers)
    low, high = bounds
    if given is None and not model.rules.mended:
        generator = torch.default_generator
        if seed is not None:
            generator = torch.Generator().manual_seed(seed)
        return torch.rand((n_samples, *shape), generator=generator).to(model.w_values)
    if given is None:
        entropy: Any = np.random.SeedSequence(seed).entropy
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
        samples=int(wanted.batch_size or 1),
        like=model.w_values,
    )


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().copy()


def _without_batch(found: Found) -> Found:
    stimulus, output, act, out, ins, snapshots = found
    return stimulus[0], output[0], act, out, ins, [snapshot[0] for snapshot in snapshots]
