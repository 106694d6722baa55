"""Connectome-constrained networks: a fixed W, unrolled over time, with parameters per group.

Source: connectome_interpreter (Y. Yin et al.), module activation_maximisation, version 2.9.5 and
the repository's head; the same public names and arguments.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ngpipe.connectome.chords import Surrogate
from ngpipe.connectome.construction import custom_response
from ngpipe.connectome.drive import Sensors, as_inputs
from ngpipe.connectome.parts import Parts
from ngpipe.connectome.schedule import BEFORE, Changes, Compiler, Schedule, schedule_of
from ngpipe.connectome.step import DivisiveInhibition, Drive, Held, Response, State
from ngpipe.connectome.weights import Edges


class MultilayeredNetwork(Parts):
    r"""A connectome as a recurrent network, unrolled for ``num_layers`` steps.

    With h(0) the input of time 0 at the sensory neurons, W ``[post, pre]`` and u(t) the input:

    .. math::
        x^{(0)} = f(h(0)) \oplus u(1), \qquad x^{(l)} = f(x^{(l-1)}) \oplus u(l + 1)

    where f is :class:`~ngpipe.connectome.step.Response` and the last layer gets no input. Layer l
    is thus the response l + 1 synapses after the input of time 0. What is held within
    [threshold, 1] (below: 0) depends on the preset, see :class:`~ngpipe.connectome.rules.Rules`.

    Shapes: inputs ``(sensor, time)`` or ``(batch, sensor, time)``, time >= layers, in the order
    of ``sensory_indices``; output ``(neuron, layer)`` or ``(batch, neuron, layer)``. Activity has
    no unit; time is in steps.

    Args:
        all_weights: W, pre neurons in the columns: numpy array, scipy sparse, tensor, or a
            :class:`~ngpipe.wiring.container.Connectome`.
        sensory_indices: neurons that receive input.
        num_layers: steps.
        threshold: z below it gives no response [1].
        tanh_steepness: slope of groups not in ``slope_dict``.
        idx_to_group: group of each neuron; without it nothing can be trained.
        default_bias: bias of groups not in ``bias_dict``.
        bias_dict: bias by group. Only ``preset="mended"`` does not take absolute values.
        slope_dict: slope by group.
        divisive_normalization: ``{pre group: [post groups]}`` whose edges divide slopes instead
            of adding to the drive; their weights are negative.
        divisive_strength: factor of divisive edges, one number or by pre group.
        activation_function: replaces the response: ``f(W x)`` or ``f(network, W x, x)``.
        device: default: CUDA if there is one. It may also stand where ``tau`` stands, as in 2.9.5.
        tau: time constant of the leak [steps], at least 1; default 1, which is none;
            ``preset="head"``: 10.
        tau_dict: the same by group.
        preset: ``"2.9.5"``, ``"head"``, ``"mended"`` or :class:`~ngpipe.connectome.rules.Rules`.
        dtype: default: that of a tensor, otherwise float32.

    Raises:
        ArgumentError: an argument that does not fit the others; the message names it.
        DeviceError: CUDA was asked for and is absent.

    Source: connectome_interpreter 2.9.5, and its repository (``head``).
    """

    nonlinear = True

    def response(self, surrogate: Surrogate = False, drive: Drive | None = None) -> Response:
        """One step as a function of the state; the arguments: see :class:`Response`."""
        per_neuron = self.groups is not None
        passes = self.rules.mended or bool(surrogate)
        tau: Any = self.effective_tau
        bias: Any = self.biases
        leaks = per_neuron and (self.tau_param.requires_grad or bool((tau != 1).any()))
        if leaks and passes:
            # A gradient that stopped below 1 would never come back.
            tau = Held.apply(self.tau_param, tau, 1.0)
        if per_neuron and passes and not self.rules.signed_biases:
            # That of the absolute value is 0 at 0, where biases start.
            bias = self.raw_biases * torch.where(self.raw_biases < 0, -1.0, 1.0)
        return Response(
            weights=self._sparse("w"),
            transposed=self._sparse("wt"),
            slope=self.slope[self.indices][:, None] if per_neuron else self.tanh_steepness,
            bias=bias[self.indices][:, None] if per_neuron else self.default_bias,
            tau=tau[self.indices][:, None] if leaks else 1.0 if per_neuron else tau,
            threshold=self.threshold,
            divisive=self._divisive(),
            nonlinear=self.nonlinear,
            surrogate=surrogate,
            custom=self._own_response(),
            edges=self.effective_edges(),
            drive=drive,
        )

    def activation_function(
        self,
        x: State,
        x_previous: State | None = None,
        slopes_full: Tensor | None = None,
        biases_full: Tensor | None = None,
        taus_full: Tensor | float | None = None,
    ) -> State:
        """Response to the drive ``x = W x_previous``, ``(neuron, batch)``.

        Constants in place of the network's are ``(neuron, 1)``. A class of one's own that has
        another method of this name responds by that.
        """
        previous = torch.zeros_like(x) if x_previous is None else x_previous
        given = {"slope": slopes_full, "bias": biases_full, "tau": taus_full}
        constants: dict[str, Any] = {
            name: value for name, value in given.items() if value is not None
        }
        # Not by another method of this name, which may have called this one.
        custom = custom_response(self)
        return replace(self.response(), custom=custom, **constants).respond(x, previous)

    def _own_response(self) -> Callable[[State, State], State] | None:
        """Replacement of the response: a given function, or a method of a subclass."""
        method = self.activation_function
        usual = getattr(method, "__func__", None) is MultilayeredNetwork.activation_function
        return custom_response(self) if usual else method

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
            return_layer_list: a list of ``(neuron, batch)`` instead, one a layer, each the tensor
                that the next is computed from: a gradient by it is that by the layer.

        Returns:
            ``(neuron, layer)`` or ``(batch, neuron, layer)``, a view; also kept as
            ``activations``, with its graph (``preset="mended"``: detached).

        Raises:
            ArgumentError: inputs of the wrong shape or not finite, an unknown neuron to hold.
        """
        batch, single = self.as_inputs(inputs)
        changes = self.changes(manipulate, len(batch))
        layers = self.run(batch, changes, checkpoint_steps=checkpoint_steps)
        if return_layer_list:
            return layers
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
            rules=self.rules,
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

    def effective_edges(self) -> Edges | None:
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
            self.divisive_post,
            self.divisive_pre,
            weight,
            self.rules.divisive,
            all_slopes=self.rules.procedure == "head",
        )


class LinearNetwork(MultilayeredNetwork):
    """The same network without threshold, tanh and bounds: y = slope d W x + bias, and the leak."""

    nonlinear = False
