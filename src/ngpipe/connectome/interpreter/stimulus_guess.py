"""A first guess of a stimulus from signed effective connectivity, without running a network."""

from collections.abc import Mapping
from itertools import islice, repeat
from typing import Any

import numpy as np
from scipy import sparse

from ngpipe.connectome.dataframes import add_sign
from ngpipe.connectome.groups import check_count, check_indices
from ngpipe.connectome.optimisation.targets import TargetActivation
from ngpipe.connectome.weights import inprop_csr
from ngpipe.errors import ArgumentError
from ngpipe.wiring.paths.effective import hop_by_hop


def guess_optimal_stimulus(
    inprop: Any,  # noqa: ANN401
    sensory_indices: Any,  # noqa: ANN401
    idx_to_sign: Mapping[Any, Any],
    target_activations: TargetActivation | None = None,
    longest_plen: int = 5,
    *,
    targets: TargetActivation | None = None,
) -> np.ndarray:
    r"""A stimulus to start from: signed effective connectivity from sensors to targets.

    An input of time t acts on layer l through l - t + 1 synapses, hence

    .. math::
        u_{b,s}(t) = \sum_{(l, n, v) \in b} v \, (W^{\,l - t + 1})_{ns}

    over paths of 1 to ``longest_plen`` synapses. Matrix powers are not formed.

    Args:
        inprop: weights ``[pre, post]``, or a connectome.
        sensory_indices: neurons that receive input, in the order of the result.
        idx_to_sign: -1 for inhibitory neurons.
        target_activations: what is wanted in each sample.
        longest_plen: longest path [synapses].
        targets: an earlier name of ``target_activations``.

    Returns:
        ``(batch, sensor, time)`` float32 with time = min(longest_plen, last target layer + 1).
        Its last column is the input that reaches the last target layer over one synapse.

    Raises:
        ArgumentError: no targets, a target or sensory neuron out of range.
    """
    targets = target_activations if targets is None else targets
    if targets is None:
        raise ArgumentError("target_activations are missing; give a TargetActivation")
    backward = sparse.csr_array(add_sign(inprop_csr(inprop), idx_to_sign)).T.tocsr()
    n, table = backward.shape[0], targets.targets_df
    sensors = check_indices(sensory_indices, n, "sensory_indices")
    neuron = check_indices(table["neuron"].to_numpy(), n, "targets: neuron")
    layer = table["layer"].to_numpy(dtype=np.int64)
    batch = table["batch"].to_numpy(dtype=np.int64)
    columns = int(min(check_count("longest_plen", longest_plen, 1), layer.max() + 1))
    first = int(layer.max()) + 1 - columns
    stimulus = np.zeros((int(targets.batch_size or 1), len(sensors), columns), dtype=np.float32)
    for at in np.unique(layer):
        here = layer == at
        reach = np.zeros((n, len(stimulus)))
        np.add.at(reach, (neuron[here], batch[here]), table["value"].to_numpy(float)[here])
        times = range(int(at), max(first, int(at) + 1 - longest_plen) - 1, -1)
        states = islice(hop_by_hop(repeat(backward, len(times)), reach), 1, None)
        for time, state in zip(times, states, strict=True):
            stimulus[:, :, time - first] += state[sensors].T
    return stimulus
