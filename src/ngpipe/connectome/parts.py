"""Parts of a connectome network: W, sensors, groups, parameters, and their state."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn

from ngpipe.connectome.construction import (
    check_constants,
    connectome_buffers,
    connectome_digest,
    device_of,
    dtype_of,
    group_parameter,
    parameter,
)
from ngpipe.connectome.groups import Divisive, check_count, groups_of, strengths
from ngpipe.connectome.rules import DEFAULT, Rules, rules_of
from ngpipe.connectome.strengths import Pairs, pairs_of
from ngpipe.connectome.weights import (
    as_csr,
    refuse_other_connectome,
    sparse_csr,
    turned_order,
)


class Parts(nn.Module):
    """Weights and parameters of a network; the arguments are those of the network."""

    sensory_indices: Tensor
    last_sensory: Tensor
    w_rows: Tensor
    w_columns: Tensor
    w_values: Tensor
    wt_rows: Tensor
    wt_columns: Tensor
    wt_values: Tensor
    turned_order: Tensor
    pair_of_edge: Tensor
    divisive_post: Tensor
    divisive_pre: Tensor
    divisive_parameter: Tensor
    divnorm_weights: Tensor
    connectome_digest: Tensor
    # Of groups: parameters, and the group of each neuron; without groups None.
    slope: Any
    raw_biases: Any
    tau_param: Any
    indices: Any
    # None without divisive edges, or without strengths of pairs.
    divisive_strength: Any
    log_strengths: Any

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
        tau: float | torch.device | str | None = None,
        tau_dict: Mapping | None = None,
        device: torch.device | str | None = None,
        preset: str | Rules = DEFAULT,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.rules = rules_of(preset)
        if isinstance(tau, str | torch.device):
            tau, device = None, tau
        self.num_layers = check_count("num_layers", num_layers, 1)
        self.threshold, self.tanh_steepness = float(threshold), float(tanh_steepness)
        self.default_bias = float(default_bias)
        self.tau = self.rules.tau if tau is None else float(tau)
        self.custom_activation_function = activation_function
        check_constants(self, ("threshold", "tanh_steepness", "default_bias", "tau"))
        self.idx_to_group, self.tau_dict = idx_to_group, tau_dict
        if divisive_normalization is not None and self.rules.procedure == "head":
            divisive_normalization = dict(sorted(divisive_normalization.items()))
        self.divisive_normalization = divisive_normalization
        self.activations: Any = []
        matrix = as_csr(all_weights)
        self.groups: Any = (
            None if idx_to_group is None else groups_of(idx_to_group, matrix.shape[0])
        )
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
        like = self.w_values
        for name, given in by_group.items():
            made = group_parameter(self.groups, *given, rules=self.rules, like=like)
            self.register_parameter(name, made)
        self.register_parameter("divisive_strength", None)
        if self.divisive_normalization is not None:
            values = strengths(self.divisive_normalization, strength, self.rules)
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
        """Device of the network."""
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
    def edge_pre_param_idx(self) -> Tensor | None:
        """Index of the divisive strength of each divisive edge."""
        return None if self.divisive_strength is None else self.divisive_parameter

    @property
    def pre2dividx(self) -> dict[Any, int]:
        """Number of the divisive strength of each pre group."""
        return {group: k for k, group in enumerate(self.divisive_normalization or {})}

    @property
    def type2div_strength(self) -> dict[Any, float]:
        """Divisive strength of each pre group."""
        return {group: self.divisive_strength[k].item() for group, k in self.pre2dividx.items()}

    @property
    def biases(self) -> Tensor | None:
        """Bias of each group, None without groups; only ``mended`` has negative ones."""
        if self.raw_biases is None or self.rules.signed_biases:
            return self.raw_biases
        return self.raw_biases.abs()

    @property
    def effective_tau(self) -> Tensor | float:
        """Time constant of each group [steps], or of all; at least 1."""
        if self.tau_param is None:
            return max(self.tau, 1.0)
        return self.tau_param.clamp(min=1.0)

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

    def _csr(self, prefix: str) -> tuple[Tensor, ...]:
        return tuple(getattr(self, f"{prefix}_{part}") for part in ("rows", "columns", "values"))

    def _sparse(self, prefix: str) -> Tensor:
        return sparse_csr(*self._csr(prefix))
