"""Connectome-constrained networks: a fixed W, unrolled over time, with parameters per group.

Source: connectome_interpreter (Y. Yin et al.), module activation_maximisation, version 2.8.1 and
later; the same public names and arguments.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ngpipe.connectome.chords import Surrogate
from ngpipe.connectome.construction import device_of, dtype_of, takes_network
from ngpipe.connectome.drive import Clamps, Sensors, as_inputs, clamps_of, sensory_indices
from ngpipe.connectome.groups import Divisive, check_count, cut_divisive, groups_of, strengths
from ngpipe.connectome.rules import Rules, rules_of
from ngpipe.connectome.step import DivisiveInhibition, Drive, Held, Response, State
from ngpipe.connectome.weights import (
    as_csr,
    csr_buffers,
    digest,
    refuse_other_connectome,
    sparse_csr,
)
from ngpipe.errors import ArgumentError

PARTS = (
    "w_rows",
    "w_columns",
    "w_values",
    "sensory_indices",
    "indices",
    "divisive_post",
    "divisive_pre",
    "divnorm_weights",
    "divisive_parameter",
)
"""Buffers that make up the connectome, for its digest."""


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
        self.idx_to_group = idx_to_group
        self.divisive_normalization = divisive_normalization
        self.custom_activation_function = activation_function
        self.activations: Any = []
        matrix = as_csr(all_weights)
        self.groups = None if idx_to_group is None else groups_of(idx_to_group, matrix.shape[0])
        dtype = dtype or dtype_of(all_weights)
        self._set_connectome(matrix, sensory_indices, dtype)
        self._set_parameters(
            {
                "slope": ("slope_dict", slope_dict, self.tanh_steepness),
                "raw_biases": ("bias_dict", bias_dict, self.default_bias),
                "tau_param": ("tau_dict", tau_dict, self.tau),
            },
            divisive_strength,
        )
        self.register_buffer("connectome_digest", self._digest(dict(self.named_buffers())))
        self.to(device_of(device))

    def _set_connectome(self, matrix: Any, sensors: Any, dtype: torch.dtype) -> None:  # noqa: ANN401
        n = matrix.shape[0]
        neurons, last = sensory_indices(sensors, n, self.rules)
        buffers = {"sensory_indices": neurons, "last_sensory": last}
        if self.divisive_normalization is not None:
            matrix, edges = cut_divisive(matrix, self.groups, self.divisive_normalization)
            buffers["divisive_post"], buffers["divisive_pre"] = edges.post, edges.pre
            buffers["divnorm_weights"] = edges.weight
            buffers["divisive_parameter"] = edges.parameter
        if self.groups is not None:
            buffers["indices"] = self.groups.of_neuron
        for name, tensor in csr_buffers(matrix, dtype).items():
            self.register_buffer(name, tensor)
        for name, array in buffers.items():
            tensor = torch.from_numpy(np.ascontiguousarray(array))
            self.register_buffer(name, tensor.to(dtype) if tensor.is_floating_point() else tensor)

    def _set_parameters(self, by_group: dict, strength: Any) -> None:  # noqa: ANN401
        like = self.w_values
        for attribute, (argument, values, default) in by_group.items():
            if self.groups is None:
                if values and self.rules.strict:
                    raise ArgumentError(
                        f"{argument} gives values by group, but idx_to_group was not given; give it"
                    )
                self.register_parameter(attribute, None)
                continue
            filled = self.groups.fill(values, default, argument, self.rules.strict)
            parameter = torch.as_tensor(filled).to(like)
            self.register_parameter(attribute, nn.Parameter(parameter, requires_grad=False))
        if self.groups is None:
            self.indices = None
        self.register_parameter("divisive_strength", None)
        if self.divisive_normalization is not None:
            values = torch.as_tensor(strengths(self.divisive_normalization, strength)).to(like)
            self.divisive_strength = nn.Parameter(values, requires_grad=False)

    def _digest(self, buffers: Mapping[str, Tensor]) -> Tensor:
        names = [] if self.groups is None else [repr(name) for name in self.groups.names]
        return digest({name: buffers[name] for name in PARTS if name in buffers}, names)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:  # noqa: ANN401
        """Refuse the state of another connectome before anything is copied."""
        here = {key.removeprefix(prefix): value for key, value in state_dict.items()}
        found = {"its digest": here.get("connectome_digest")}
        with contextlib.suppress(KeyError):  # torch says which parts are missing
            found["the digest of its weights"] = self._digest(here)
        refuse_other_connectome(found, self.connectome_digest)
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

    def set_param_grads(
        self,
        slopes: bool = False,
        raw_biases: bool = False,
        divisive_strength: bool = False,
        tau: bool = False,
    ) -> None:
        """Say which parameters are trained."""
        flags = {
            "slope": slopes,
            "raw_biases": raw_biases,
            "divisive_strength": divisive_strength,
            "tau_param": tau,
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
            custom=self._custom(),
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
        clamps: Clamps | None = None,
        surrogate: Surrogate = False,
        checkpoint_steps: int | None = None,
        drive: Drive | None = None,
    ) -> list[State]:
        """Layers as they are computed, each ``(neuron, batch)``; nothing is transposed or kept.

        Args:
            inputs: ``(batch, sensor, time)`` in the network's dtype.
            clamps: see :func:`ngpipe.connectome.drive.clamps_of`.
            surrogate: let gradients pass thresholds and bounds, or take slopes of chords.
            checkpoint_steps: layers between the states that backward starts again from.
            drive: called once a layer with W x and x, see :class:`Response`.
        """
        respond = self.response(surrogate, drive)
        sensors = Sensors(
            self.sensory_indices, self.last_sensory, self.threshold, self.rules, not self.nonlinear
        )
        u = sensors.prepare(inputs, surrogate)

        def hold(x: State, layer: int) -> State:
            if not clamps or layer not in clamps:
                return x
            neurons, samples, activity = clamps[layer]
            return x.index_put((neurons, samples), activity)

        x = hold(sensors.first(u[0], self.n_neurons, surrogate), -1)

        def advance(x: State, start: int, stop: int) -> tuple[State, ...]:
            layers = []
            for layer in range(start, stop):
                x = respond(x)
                if layer < self.num_layers - 1:
                    x = sensors.add(x, u[layer + 1], surrogate)
                x = hold(x, layer)
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
        manipulate: Mapping | None = None,
        checkpoint_steps: int | None = None,
        return_layer_list: bool = False,
    ) -> Tensor | list[Tensor]:
        """Activity of all neurons in every layer.

        Args:
            inputs: ``(sensor, time)`` or ``(batch, sensor, time)``, tensor or numpy, any real
                dtype.
            manipulate: activities held: ``{layer: {group or neuron: activity}}``, or that by
                sample.
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
        clamps = self._clamps(manipulate, len(batch))
        layers = self.run(batch, clamps, checkpoint_steps=checkpoint_steps)
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

    def _clamps(self, manipulate: Mapping | None, batch: int) -> Clamps:
        return clamps_of(
            manipulate,
            groups=self.groups,
            n=self.n_neurons,
            layers=self.num_layers,
            batch=batch,
            like=self.w_values,
        )

    def _sparse(self, prefix: str) -> Tensor:
        parts = (getattr(self, f"{prefix}_{part}") for part in ("rows", "columns", "values"))
        return sparse_csr(*parts)

    def _divisive(self) -> DivisiveInhibition | None:
        if self.divisive_strength is None:
            return None
        weight = self.divnorm_weights * self.divisive_strength[self.divisive_parameter]
        return DivisiveInhibition(
            self.divisive_post, self.divisive_pre, weight, self.rules.divisive
        )

    def _custom(self) -> Callable | None:
        function = self.custom_activation_function
        if function is None:
            return None
        if takes_network(function):
            return lambda incoming, x: function(self, incoming, x)
        return lambda incoming, x: function(incoming)


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
) -> Iterator[MultilayeredNetwork]:
    """Parameters that are trained within a block; what was before comes back after it."""
    before = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    model.set_param_grads(train_slopes, train_biases, divisive_strength, train_tau)
    try:
        yield model
    finally:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(before[name])
