"""Connectome-constrained networks: a fixed W, unrolled over time, with parameters per group.

Source: connectome_interpreter (Y. Yin et al.), module activation_maximisation, version 2.8.1 and
later; the same public names and arguments.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ngpipe.connectome.chords import Surrogate
from ngpipe.connectome.construction import (
    check_constants,
    connectome_buffers,
    connectome_digest,
    custom_response,
    device_of,
    dtype_of,
    group_parameter,
    parameter,
)
from ngpipe.connectome.drive import Sensors, as_inputs
from ngpipe.connectome.groups import Divisive, check_count, groups_of, strengths
from ngpipe.connectome.rules import Rules, rules_of
from ngpipe.connectome.schedule import BEFORE, Changes, Compiler, Schedule, schedule_of
from ngpipe.connectome.step import DivisiveInhibition, Drive, Held, Response, State
from ngpipe.connectome.strengths import Pairs, pairs_of
from ngpipe.connectome.weights import (
    Edges,
    as_csr,
    refuse_other_connectome,
    sparse_csr,
    turned_order,
)


class MultilayeredNetwork(nn.Module):
    r"""A connectome as a recurrent network, unrolled for ``num_layers`` steps.

    With h(0) the input of time 0 at the sensory neurons, W ``[post, pre]`` and u(t) the input:

    .. math::
        x^{(0)} = f(h(0)) \oplus u(1), \qquad x^{(l)} = f(x^{(l-1)}) \oplus u(l + 1)

    where f is :class:`~ngpipe.connectome.step.Response` and the last layer gets no input. Layer l
    is thus the response l + 1 synapses after the input of time 0. ``preset="current"``: the sum of
    response and input is held within [threshold, 1] (below: 0); ``preset="seed"``: the input is,
    and the sum is cut at 1.

    Shapes: inputs ``(sensor, time)`` or ``(batch, sensor, time)``, time >= layers, in the order
    of ``sensory_indices``; output ``(neuron, layer)`` or ``(batch, neuron, layer)``. Activity has
    no unit; time is in steps.

    Args:
        all_weights: W, pre neurons in the columns: numpy array, scipy sparse, tensor, or a
            :class:`~ngpipe.wiring.connectome.Connectome`.
        sensory_indices: neurons that receive input.
        num_layers: steps.
        threshold: z below it gives no response [1].
        tanh_steepness: slope of groups not in ``slope_dict``.
        idx_to_group: group of each neuron; without it nothing can be trained.
        default_bias: bias of groups not in ``bias_dict``.
        bias_dict: bias by group. ``preset="seed"`` takes absolute values.
        slope_dict: slope by group.
        divisive_normalization: ``{pre group: [post groups]}`` whose edges divide slopes instead
            of adding to the drive; their weights are negative.
        divisive_strength: factor of divisive edges, one number or by pre group.
        activation_function: replaces the response: ``f(W x)`` or ``f(network, W x, x)``.
        device: default: CUDA if there is one.
        tau: time constant of the leak [steps], at least 1; default 10, ``preset="seed"``: 1.
        tau_dict: the same by group.
        preset: ``"current"``, ``"seed"`` or :class:`~ngpipe.connectome.rules.Rules`.
        dtype: default: that of a tensor, otherwise float32.

    Raises:
        ArgumentError: an argument that does not fit the others; the message names it.
        DeviceError: CUDA was asked for and is absent.

    Source: connectome_interpreter 2.8.1 (``seed``) and later (``current``).
    """

    nonlinear = True

    def __init__(  # noqa: PLR0913 (the signature of existing scripts)
        self,
        all_weights: Any,  # noqa: ANN401
        sensory_indices: Any,  # noqa: ANN401
        num_layers: int = 2,
        threshold: float = 0.01,
        tanh_steepness: float = 5,
        idx_to_group: Mapping | None = None,
        default_bias: float = 0.0,
        bias_dict: Mapping | None = None,
        slope_dict: Mapping | None = None,
        divisive_normalization: Divisive | None = None,
        divisive_strength: Any = 1,  # noqa: ANN401
        activation_function: Callable | None = None,
        device: torch.device | str | None = None,
        tau: float | None = None,
        tau_dict: Mapping | None = None,
        preset: str | Rules = "current",
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.rules = rules_of(preset)
        self.num_layers = check_count("num_layers", num_layers, 1)
        self.threshold, self.tanh_steepness = float(threshold), float(tanh_steepness)
        self.default_bias = float(default_bias)
        self.tau = self.rules.tau if tau is None else float(tau)
        check_constants(self, ("threshold", "tanh_steepness", "default_bias", "tau"))
        self.idx_to_group = idx_to_group
        self.divisive_normalization = divisive_normalization
        self.custom_activation_function = activation_function
        self.activations: Any = []
        matrix = as_csr(all_weights)
        self.groups = None if idx_to_group is None else groups_of(idx_to_group, matrix.shape[0])
        buffers = connectome_buffers(
            matrix,
            sensory_indices,
            self.groups,
            divisive_normalization,
            self.rules,
            dtype or dtype_of(all_weights),
        )
        for name, tensor in buffers.items():
            self.register_buffer(name, tensor)
        by_group = {
            "slope": (slope_dict, self.tanh_steepness, "slope_dict"),
            "raw_biases": (bias_dict, self.default_bias, "bias_dict"),
            "tau_param": (tau_dict, self.tau, "tau_dict"),
        }
        self._set_parameters(by_group, divisive_strength)
        digest = connectome_digest(dict(self.named_buffers()), self.groups)
        self.register_buffer("connectome_digest", digest)
        self.to(device_of(device))

    def _set_parameters(self, by_group: dict, strength: Any) -> None:  # noqa: ANN401
        like, strict = self.w_values, self.rules.strict
        for name, given in by_group.items():
            made = group_parameter(self.groups, *given, strict=strict, like=like)
            self.register_parameter(name, made)
        self.register_parameter("divisive_strength", None)
        if self.divisive_normalization is not None:
            values = strengths(self.divisive_normalization, strength)
            self.divisive_strength = parameter(values, like)
        self.register_parameter("log_strengths", None)
        self.pairs: Pairs | None = None
        if self.groups is None:
            self.indices = None

    def add_strengths(self) -> None:
        """Give W a trainable factor for each pair of connected groups, 1 until it is trained.

        See :mod:`ngpipe.connectome.strengths`. Nothing changes if they are there, or if there are
        no groups. The digest of the connectome stays as it is.
        """
        if self.groups is None or self.log_strengths is not None:
            return
        n, (rows, columns, _) = self.n_neurons, (part.cpu() for part in self._csr("w"))
        pattern = csr_array((np.ones(len(columns)), columns.numpy(), rows.numpy()), shape=(n, n))
        self.pairs = pairs_of(pattern, self.groups)
        self.log_strengths = parameter(np.zeros(len(self.pairs.post)), self.w_values)
        parts = {"pair_of_edge": self.pairs.of_edge, "turned_order": turned_order(pattern)}
        for name, array in parts.items():
            tensor = torch.from_numpy(array).to(self.device)
            self.register_buffer(name, tensor, persistent=False)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:  # noqa: ANN401
        """Refuse the state of another connectome before anything is copied."""
        here = {key.removeprefix(prefix): value for key, value in state_dict.items()}
        found = {"its digest": here.get("connectome_digest")}
        with contextlib.suppress(KeyError):  # torch says which parts are missing
            found["the digest of its weights"] = connectome_digest(here, self.groups)
        refuse_other_connectome(found, self.connectome_digest)
        if "log_strengths" in here:
            self.add_strengths()
        super()._load_from_state_dict(state_dict, prefix, *args)

    @property
    def n_neurons(self) -> int:
        """Neurons."""
        return len(self.w_rows) - 1

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.w_values.device

    @property
    def all_weights(self) -> Tensor:
        """W without divisive edges as a sparse COO tensor, ``[post, pre]``."""
        return self._sparse("w").to_sparse_coo()

    @property
    def edge_values(self) -> Tensor:
        """Weights in the order of the CSR arrays of W, times the strengths of pairs of groups."""
        if self.log_strengths is None:
            return self.w_values
        return self.w_values * self.log_strengths.exp().index_select(0, self.pair_of_edge)

    @property
    def divnorm_indices(self) -> Tensor:
        """Divisive edges, ``(2, edge)``: post above pre."""
        return torch.stack([self.divisive_post, self.divisive_pre])

    @property
    def biases(self) -> Tensor | None:
        """Bias of each group, None without groups; absolute values with ``preset="seed"``."""
        if self.raw_biases is None or self.rules.signed_biases:
            return self.raw_biases
        return self.raw_biases.abs()

    @property
    def effective_tau(self) -> Tensor | float:
        """Time constant of each group [steps], or of all; at least 1."""
        if self.tau_param is None:
            return max(self.tau, 1.0)
        # A gradient that stopped below 1 would never come back.
        return Held.apply(self.tau_param, self.tau_param.clamp(min=1.0), 1.0)

    @property
    def strengths(self) -> Tensor | None:
        """Factor of each pair of connected groups; None where none were added."""
        return None if self.log_strengths is None else self.log_strengths.exp()

    def set_param_grads(
        self,
        slopes: bool = False,
        raw_biases: bool = False,
        divisive_strength: bool = False,
        tau: bool = False,
        strengths: bool = False,
    ) -> None:
        """Say which parameters are trained; ``strengths`` adds them where there are none yet."""
        if strengths:
            self.add_strengths()
        flags = {
            "slope": slopes,
            "raw_biases": raw_biases,
            "divisive_strength": divisive_strength,
            "tau_param": tau,
            "log_strengths": strengths,
        }
        for name, flag in flags.items():
            if getattr(self, name) is not None:
                getattr(self, name).requires_grad_(flag)

    def response(self, surrogate: Surrogate = False, drive: Drive | None = None) -> Response:
        """One step as a function of the state; the arguments: see :class:`Response`."""
        per_neuron = self.groups is not None
        tau = self.effective_tau
        if per_neuron and not self.tau_param.requires_grad and bool((tau == 1).all()):
            tau, leaks = 1.0, False
        else:
            leaks = per_neuron
        return Response(
            weights=self._sparse("w"),
            transposed=self._sparse("wt"),
            slope=self.slope[self.indices][:, None] if per_neuron else self.tanh_steepness,
            bias=self.biases[self.indices][:, None] if per_neuron else self.default_bias,
            tau=tau[self.indices][:, None] if leaks else tau,
            threshold=self.threshold,
            divisive=self._divisive(),
            nonlinear=self.nonlinear,
            surrogate=surrogate,
            custom=custom_response(self, self.custom_activation_function),
            edges=self._edges(),
            drive=drive,
        )

    def activation_function(self, x: State, x_previous: State | None = None) -> State:
        """Response to the drive ``x = W x_previous``, ``(neuron, batch)``."""
        previous = torch.zeros_like(x) if x_previous is None else x_previous
        return self.response().respond(x, previous)

    def divnorm(self, slopes: Tensor | float, x_previous: Tensor) -> Tensor | float:
        """Slopes under divisive inhibition by the state ``(neuron, batch)``."""
        divisive = self._divisive()
        return slopes if divisive is None else divisive.divide(slopes, x_previous)

    def run(
        self,
        inputs: Tensor,
        changes: Changes | None = None,
        surrogate: Surrogate = False,
        checkpoint_steps: int | None = None,
        drive: Drive | None = None,
    ) -> list[State]:
        """Layers as they are computed, each ``(neuron, batch)``; nothing is transposed or kept.

        Args:
            inputs: ``(batch, sensor, time)`` in the network's dtype.
            changes: what is done to neurons, see :meth:`changes`.
            surrogate: let gradients pass thresholds and bounds.
            checkpoint_steps: layers between the states that backward starts again from.
            drive: called once a layer with W x and x, see :class:`Response`.
        """
        respond = self.response(surrogate, drive)
        sensors = Sensors(
            self.sensory_indices, self.last_sensory, self.threshold, self.rules, not self.nonlinear
        )
        u = sensors.prepare(inputs, surrogate)
        bounded = partial(sensors.within, surrogate=surrogate)
        changes = changes or {}
        x = sensors.first(u[0], self.n_neurons, surrogate)
        if BEFORE in changes:
            x = changes[BEFORE](x, bounded)

        def advance(x: State, start: int, stop: int) -> tuple[State, ...]:
            layers = []
            for layer in range(start, stop):
                x = respond(x)
                if layer < self.num_layers - 1:
                    x = sensors.add(x, u[layer + 1], surrogate)
                if layer in changes:
                    x = changes[layer](x, bounded)
                layers.append(x)
            return tuple(layers)

        if not checkpoint_steps:
            return list(advance(x, 0, self.num_layers))
        layers: list[State] = []
        for start in range(0, self.num_layers, checkpoint_steps):
            stop = min(start + checkpoint_steps, self.num_layers)
            layers += checkpoint(advance, x, start, stop, use_reentrant=False)
            x = layers[-1]
        return layers

    def forward(
        self,
        inputs: Any,  # noqa: ANN401
        manipulate: Mapping | Schedule | None = None,
        checkpoint_steps: int | None = None,
        return_layer_list: bool = False,
    ) -> Tensor | list[Tensor]:
        """Activity of all neurons in every layer.

        Args:
            inputs: ``(sensor, time)`` or ``(batch, sensor, time)``, tensor or numpy, any real
                dtype.
            manipulate: a :class:`~ngpipe.connectome.schedule.Schedule`; or activities held,
                ``{layer: {group or neuron: activity}}``, or that by sample.
            checkpoint_steps: save memory in backward: keep the state of every so many layers
                and compute the others again.
            return_layer_list: a list of ``(batch, neuron)`` instead, one a layer.

        Returns:
            ``(neuron, layer)`` or ``(batch, neuron, layer)``, a view; also kept, detached, as
            ``activations`` (``preset="seed"``: with its graph).

        Raises:
            ArgumentError: inputs of the wrong shape or not finite, an unknown neuron to hold.
        """
        batch, single = self.as_inputs(inputs)
        changes = self.changes(manipulate, len(batch))
        layers = self.run(batch, changes, checkpoint_steps=checkpoint_steps)
        if return_layer_list:
            return [x[:, 0] if single else x.t() for x in layers]
        output = torch.stack(layers).permute(2, 1, 0)
        output = output[0] if single else output
        self.activations = output if self.rules.keeps_graph else output.detach()
        return output

    def as_inputs(self, inputs: Any) -> tuple[Tensor, bool]:  # noqa: ANN401
        """Inputs as ``(batch, sensor, time)`` in the network's dtype; whether of one sample."""
        return as_inputs(
            inputs,
            like=self.w_values,
            n_sensory=len(self.sensory_indices),
            steps=self.num_layers,
            strict=self.rules.strict,
        )

    def changes(
        self, manipulate: Mapping | Schedule | None, samples: int, copies: int = 1
    ) -> Changes:
        """A schedule as :meth:`run` takes it, for a batch of ``copies`` times all samples.

        Raises:
            ArgumentError: an unknown group, or a neuron, layer or sample out of range.
        """
        compiler = Compiler(
            groups=self.groups,
            neurons=self.n_neurons,
            layers=self.num_layers,
            samples=samples,
            copies=copies,
            like=self.w_values,
            name="schedule" if isinstance(manipulate, Schedule) else "manipulate",
        )
        return compiler.changes(schedule_of(manipulate))

    def _csr(self, prefix: str) -> tuple[Tensor, ...]:
        return tuple(getattr(self, f"{prefix}_{part}") for part in ("rows", "columns", "values"))

    def _sparse(self, prefix: str) -> Tensor:
        return sparse_csr(*self._csr(prefix))

    def _edges(self) -> Edges | None:
        """W times strengths; None where these are 1 and not trained."""
        log = self.log_strengths
        if log is None or not (log.requires_grad or bool((log != 0).any())):
            return None
        values = self.edge_values
        pattern = (*self._csr("w")[:2], *self._csr("wt")[:2], self.turned_order)
        return Edges(values, *pattern)

    def _divisive(self) -> DivisiveInhibition | None:
        if self.divisive_strength is None:
            return None
        weight = self.divnorm_weights * self.divisive_strength[self.divisive_parameter]
        return DivisiveInhibition(
            self.divisive_post, self.divisive_pre, weight, self.rules.divisive
        )


class LinearNetwork(MultilayeredNetwork):
    """The same network without threshold, tanh and bounds: y = slope d W x + bias, and the leak."""

    nonlinear = False


@contextlib.contextmanager
def training_mode(
    model: MultilayeredNetwork,
    train_slopes: bool = True,
    train_biases: bool = True,
    divisive_strength: bool = True,
    train_tau: bool = False,
    train_strengths: bool = False,
) -> Iterator[MultilayeredNetwork]:
    """Parameters that are trained within a block; what was before comes back after it."""
    before = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    model.set_param_grads(train_slopes, train_biases, divisive_strength, train_tau, train_strengths)
    try:
        yield model
    finally:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(before.get(name, False))
