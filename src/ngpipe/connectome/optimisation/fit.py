r"""Fit the parameters of a network to target activities, epoch by epoch.

.. math::
    L = \langle e(x_{n_t}^{(l_t)} - v_t) \rangle_t + \lambda \langle |p - p_0| \rangle

with e the absolute value or the square, the first mean over the targets of a mini-batch of samples,
the second over all trained parameters p, which start at p0. Adam; gradients pass thresholds and
bounds (:class:`ngpipe.connectome.step.Held`), so that silent neurons can be woken.

A plan with ``procedure="2.9.5"`` or ``"head"`` trains as these versions of connectome_interpreter
do: gradients stop at thresholds, and the penalty has no effect on them. In 2.9.5 targets are
averaged within samples first, the penalty is the sum of |p - p0|, and no gradient is cut.

    run = Fit(network, trained, held_out, Plan(epochs=100, batch_size=8), generator)
    for record in run:
        save(run.state())       # run.load_state(...) goes on from there
    result = run.result()

A run that was interrupted and went on gives the same bytes as one that was not.
"""

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import Tensor

from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.connectome.optimisation.plan import ERRORS, LEARNING_RATE_SCHEDULES, TRAINED, Plan
from ngpipe.connectome.optimisation.split import Part, split
from ngpipe.connectome.optimisation.targets import Targets
from ngpipe.connectome.parameters import parameters_of
from ngpipe.connectome.trained_parameters import training_mode
from ngpipe.connectome.weights import digest, refuse_other_connectome
from ngpipe.errors import ArgumentError, DivergenceError

LARGEST_GRADIENT = 1.0
"""Norm that the gradient of all parameters is cut to (not by the procedure of 2.9.5)."""

HISTORY = {
    "loss": "loss before each step, mean of the epoch",
    "error": "error of the targets trained on, mean of the epoch",
    "penalty": "penalty, mean of the epoch",
    "held_out_error": "error of the held-out targets after the epoch",
    "learning_rate": "learning rate",
}


class Fit:
    """A fit that can be followed, saved and resumed; it trains the network given.

    Args:
        network: a network with groups.
        trained: samples to train on.
        held_out: samples for the held-out error; may have no targets.
        plan: how.
        generator: draws the mini-batches; on the CPU.

    Raises:
        ArgumentError: nothing to train, or no targets to train on.
    """

    def __init__(
        self,
        network: MultilayeredNetwork,
        trained: Part,
        held_out: Part,
        plan: Plan,
        generator: torch.Generator,
    ) -> None:
        self.network, self.plan, self.generator = network, plan, generator
        self.trained, self.held_out = trained, held_out
        self.flags = {argument: name in plan.train for name, argument in TRAINED.items()}
        with training_mode(network, **self.flags):
            self.parameters = [p for p in network.parameters() if p.requires_grad]
        if not self.parameters:
            raise ArgumentError(
                "the network has nothing to train: it was built without idx_to_group, or nothing "
                f"it has is among what is trained, {list(plan.train)}"
            )
        if not len(trained.targets.value):
            raise ArgumentError("there are no targets to train on; give at least one row")
        self.watched = len(held_out.targets.value) > 0
        if plan.patience is not None and not self.watched:
            raise ArgumentError(
                f"patience is {plan.patience}, but nothing is held out that could tell when to "
                "stop; hold samples out or leave out patience"
            )
        self.start = [p.detach().clone() for p in self.parameters]
        self.optimizer = torch.optim.Adam(self.parameters, lr=plan.learning_rate)
        self.driven = trained.targets.sample.unique().cpu()
        self.history: dict[str, list[float]] = {name: [] for name in HISTORY}
        self.best: dict[str, Any] = {"epoch": 0, "error": math.inf, "parameters": None}

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history["loss"])

    @property
    def finished(self) -> bool:
        """True if all epochs are done, or patience has run out."""
        patience = self.plan.patience
        waited = patience is not None and self.epoch - self.best["epoch"] >= patience
        return waited or self.epoch >= self.plan.epochs

    def __iter__(self) -> Iterator[dict[str, float]]:
        """Train until finished; one record of losses an epoch."""
        while not self.finished:
            yield self.advance()

    def advance(self) -> dict[str, float]:
        """One epoch.

        Raises:
            DivergenceError: a loss that is not finite.
        """
        factor = LEARNING_RATE_SCHEDULES[self.plan.learning_rate_schedule]
        rate = self.plan.learning_rate * factor(self.epoch / max(self.plan.epochs, 1))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with training_mode(self.network, **self.flags):
            steps = [self._step(*batch) for batch in self.batches()]
        means = np.average([s[:3] for s in steps], axis=0, weights=[s[3] for s in steps])
        numbers = (*means.tolist(), self.validate(), rate)
        record = dict(zip(HISTORY, numbers, strict=True))
        for name, value in record.items():
            self.history[name].append(value)
        if self.watched:
            self._compare(record["held_out_error"])
        return record

    def result(self) -> xr.Dataset:
        """End the run: the network gets the parameters kept.

        Returns:
            losses by ``epoch`` (1, 2, ...); the parameters of the network
            (:func:`~ngpipe.connectome.parameters.parameters_of`); ``kept_epoch``, the epoch that
            they are those of, and ``kept_error``, its held-out error; ``held_out`` by ``sample``.
        """
        kept = self.best["parameters"]
        if kept is not None:
            _assign(self.parameters, kept)
        data = parameters_of(self.network)
        for name, long_name in HISTORY.items():
            attributes = {"long_name": long_name, "units": "1"}
            data[name] = xr.DataArray(np.array(self.history[name]), dims="epoch", attrs=attributes)
        samples = len(self.trained.indices) + len(self.held_out.indices)
        held_out = np.isin(np.arange(samples), self.held_out.indices)
        data["held_out"] = ("sample", held_out, {"long_name": "not trained on", "units": "1"})
        epoch = self.epoch if kept is None else self.best["epoch"]
        error = self.history["held_out_error"][epoch - 1] if epoch else math.nan
        data["kept_epoch"] = ((), epoch, {"long_name": "epoch of the parameters", "units": "1"})
        data["kept_error"] = ((), error, {"long_name": "its held-out error", "units": "1"})
        return data.assign_coords(epoch=np.arange(1, self.epoch + 1), sample=np.arange(samples))

    def state(self) -> dict[str, Any]:
        """All that the run needs to go on; copies, of tensors, numbers, names, lists and dicts."""
        return copy.deepcopy(
            {
                "connectome": self.network.connectome_digest,
                "options": self._options(),
                "data": self._data(),
                "parameters": {n: p.detach() for n, p in self.network.named_parameters()},
                "start": self.start,
                "optimizer": self.optimizer.state_dict(),
                "generator": self.generator.get_state(),
                "history": self.history,
                "best": self.best,
            }
        )

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from where a state was taken.

        Raises:
            ArgumentError: it is of another connectome, plan or network, or of other inputs,
                targets or another split.
        """
        refuse_other_connectome({"its digest": state["connectome"]}, self.network.connectome_digest)
        earlier = {"schedule": "learning_rate_schedule"}
        options = {earlier.get(name, name): value for name, value in state["options"].items()}
        _refuse_other_options(options, self._options())
        if not torch.equal(state["data"].cpu(), self._data()):
            raise ArgumentError(
                "the state was taken with other inputs, targets or another split; give the same, "
                "split by a generator with the same seed"
            )
        self._load_parameters(state["parameters"])
        self.start = [p.to(self.network.w_values) for p in copy.deepcopy(state["start"])]
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        self.generator.set_state(state["generator"].cpu())
        self.history = copy.deepcopy(state["history"])
        self.best = copy.deepcopy(state["best"])

    def _load_parameters(self, found: Mapping[str, Tensor]) -> None:
        if "log_strengths" in found:
            self.network.add_strengths()
        own = dict(self.network.named_parameters())
        if set(own) != set(found):
            raise ArgumentError(
                f"the state has the parameters {sorted(found)}, the network has {sorted(own)}; "
                "build the network as before"
            )
        _assign(list(own.values()), [found[name] for name in own])

    def _compare(self, error: float) -> None:
        """Note the epoch if it is the best so far, and its parameters if these are wanted."""
        if error < self.best["error"]:
            keeps = self.plan.keep == "best"
            kept = [p.detach().clone() for p in self.parameters] if keeps else None
            self.best = {"epoch": self.epoch, "error": error, "parameters": kept}

    def batches(self) -> Iterator[tuple[Tensor, Targets]]:
        """Batches of an epoch: inputs and the targets on them, in a new random order."""
        size = self.plan.batch_size
        if size is None:
            yield self.trained.inputs, self.trained.targets
            return
        order = torch.randperm(len(self.driven), generator=self.generator)
        for samples in self.driven[order].split(size):
            samples = samples.to(self.network.device)
            yield self.trained.inputs[samples], self.trained.among(samples)

    def _step(self, inputs: Tensor, targets: Targets) -> tuple[float, float, float, int]:
        """A step of the optimiser: loss, error, penalty, and how many targets these are of."""
        mended = self.plan.procedure == "mended"
        layers = self.network.run(
            inputs, surrogate=mended, checkpoint_steps=self.plan.checkpoint_steps
        )
        error = self._error(layers, targets)
        penalty = self.plan.penalty * self._distance()
        loss = error + (penalty if mended else penalty.detach())
        if not torch.isfinite(loss):
            raise DivergenceError(
                f"the loss is {loss.item()} at epoch {self.epoch}: lower learning_rate "
                "or look for weights and biases that are too large"
            )
        self.optimizer.zero_grad(set_to_none=True)
        if loss.requires_grad:
            loss.backward()
        if self.plan.procedure != "2.9.5":
            torch.nn.utils.clip_grad_norm_(self.parameters, LARGEST_GRADIENT)
        self.optimizer.step()
        return loss.item(), error.item(), penalty.item(), len(targets.value)

    def _error(self, layers: list[Tensor], targets: Targets) -> Tensor:
        """Mean error, of all targets or (2.9.5) of samples."""
        off = ERRORS[self.plan.error](targets.reached(layers) - targets.value)
        if self.plan.procedure != "2.9.5":
            return off.mean()
        samples = layers[0].shape[1]
        n = max(int(targets.sample.unique().numel()), 1)
        return targets.of_samples(off, samples).sum() / n

    def _distance(self) -> Tensor:
        pairs = zip(self.parameters, self.start, strict=True)
        moved = [(p - p0).abs() for p, p0 in pairs]
        if self.plan.procedure == "head":
            return torch.stack([m.mean() for m in moved]).sum()
        whole = torch.cat([m.flatten() for m in moved])
        return whole.mean() if self.plan.procedure == "mended" else whole.sum()

    @torch.no_grad()
    def validate(self) -> float:
        """Error on the stimuli held out; NaN if there are none."""
        if not self.watched:
            return 0.0 if self.plan.procedure == "2.9.5" else math.nan
        layers = self.network.run(self.held_out.inputs)
        return self._error(layers, self.held_out.targets).item()

    def _options(self) -> dict[str, Any]:
        """Options that must match to resume a state, besides the connectome and the data."""
        network, plan = self.network, asdict(self.plan)
        custom = network.custom_activation_function
        facts = {
            "network": type(network).__name__,
            "num_layers": network.num_layers,
            "threshold": network.threshold,
            "activation_function": getattr(custom, "__qualname__", repr(custom)),
            "dtype": str(network.w_values.dtype),
        }
        return plan | facts | asdict(network.rules)

    def _data(self) -> Tensor:
        tensors = {}
        for name, part in (("trained", self.trained), ("held_out", self.held_out)):
            targets = part.targets
            tensors[f"{name} samples"] = torch.from_numpy(part.indices)
            tensors[f"{name} inputs"] = part.inputs
            for field in ("sample", "neuron", "value"):
                tensors[f"{name} {field}"] = getattr(targets, field)
        counts = [part.targets.counts for part in (self.trained, self.held_out)]
        return digest(tensors, [repr(counts)])


def fit(
    network: MultilayeredNetwork,
    inputs: Any,  # noqa: ANN401
    targets: pd.DataFrame,
    *,
    generator: torch.Generator,
    held_out: float | Sequence[int] = 0.2,
    **plan: Any,  # noqa: ANN401
) -> xr.Dataset:
    """Fit a network in place.

    Args:
        network: a network with groups.
        inputs: ``(batch, sensor, time)``.
        targets: columns batch, neuron_idx, value and perhaps layer; without layer, the mean over
            all layers.
        generator: draws the split and the mini-batches; on the CPU.
        held_out: share of the samples with targets that is held out, or their numbers.
        plan: fields of :class:`Plan`: ``epochs``, ``batch_size``, ``learning_rate``, ...

    Returns:
        see :meth:`Fit.result`.

    Raises:
        ArgumentError: nothing to train or to train on, missing columns, indices out of range.
        DivergenceError: a loss that is not finite.
    """
    parts = split(network, inputs, targets, held_out, generator)
    run = Fit(network, *parts, Plan(**plan), generator)
    for _ in run:
        pass
    return run.result()


@torch.no_grad()
def _assign(parameters: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for parameter, value in zip(parameters, values, strict=True):
        parameter.copy_(value)


def _refuse_other_options(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    for name, value in expected.items():
        if name not in found or found[name] != value:
            raise ArgumentError(
                f"the state was taken with {name} = {found.get(name)!r}, but {name} is {value!r} "
                "here; give the same, or start again"
            )
