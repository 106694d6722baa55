"""Schemas of all stores: variables, their dimensions, units and meaning."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Variable:
    """Schema of one variable of a store."""

    dims: tuple[str, ...]
    units: str
    long_name: str
    required: bool = True
    or_dims: tuple[str, ...] | None = None
    """Dimensions that it may have instead."""
    holds: Literal["mask", "finite"] | None = None
    """Constraint on its values: true or false (0 or 1), or finite numbers."""
    coordinate: bool = False
    """True if it labels a dimension, to select and to group by."""


Schema = Mapping[str, Variable]

_PAIR = ("pair", "x")
"""A transfer function of receiver and sender: pairs of types, the sender's runs fastest."""

SIMULATION: Schema = {
    "activity": Variable(("time", "neuron"), "1", "activity x"),
    "drift": Variable(("time", "neuron"), "1/tau", "exact rate dx/dt before noise", False),
    "connectivity": Variable(
        ("post", "pre"), "1/tau", "effective coupling g_i W_ij, row i receives", False
    ),
    "gain": Variable(("neuron",), "1/tau", "gain g_i on the summed input", False),
    "neuron_type": Variable(("neuron",), "1", "index of the neuron's type", False, coordinate=True),
    "position": Variable(("neuron", "axis"), "1", "position in the plane", False),
    "driven": Variable(
        ("neuron",), "1", "whether the neuron has an external input", False, holds="mask"
    ),
    "external_input": Variable(
        ("frame", "neuron"), "1", "external input Omega", False, holds="finite"
    ),
    "input_frame": Variable(
        ("time",), "1", "index of the input shown at a time", False, holds="finite"
    ),
    "phi": Variable(("type", "x"), "1/tau", "update function phi of each type", False),
    "psi": Variable(("type", "x"), "1", "transfer function psi of each type", False, _PAIR),
}
TRAINING: Schema = {
    "connectivity": Variable(
        ("step", "post", "pre"), "1/tau", "learned effective coupling during training"
    ),
}
RECOVERY: Schema = {
    "connectivity": Variable(("post", "pre"), "1/tau", "recovered effective coupling"),
    "connectivity_error": Variable(
        ("post", "pre"), "1/tau", "standard error of the recovered coupling", False
    ),
    "connected": Variable(
        ("post", "pre"), "1", "whether a connection is called present", False, holds="mask"
    ),
    "latent": Variable(
        ("neuron", "component"), "1", "latent vector a_i", or_dims=("neuron", "latent")
    ),
    "neuron_type": Variable(("neuron",), "1", "index of the recovered type", coordinate=True),
    "phi": Variable(("neuron", "x"), "1/tau", "recovered update function phi*"),
    "psi": Variable(("neuron", "x"), "1", "recovered transfer function psi*", True, _PAIR),
    "external_input": Variable(("sample", "neuron"), "1", "recovered external input", False),
    "visited": Variable(("neuron", "bound"), "1", "ends of the visited range of activity"),
}
ROLLOUT: Schema = {
    "activity": Variable(("time", "neuron"), "1", "activity x"),
    "activity_hat": Variable(
        ("time", "neuron"), "1", "activity x predicted from the first frame on"
    ),
    "drift": Variable(("sample", "neuron"), "1/tau", "target rate dx/dt, held out"),
    "drift_hat": Variable(("sample", "neuron"), "1/tau", "predicted rate dx/dt, held out"),
}
CONNECTOME: Schema = {
    "edge_pre": Variable(("edge",), "1", "index of the sending neuron"),
    "edge_post": Variable(("edge",), "1", "index of the receiving neuron"),
    "edge_weight": Variable(("edge",), "1", "weight, with the sign of its sender"),
    "id": Variable(("neuron",), "1", "id of the neuron"),
}
"""Further variables along ``neuron`` are the columns of the neuron table."""
FIT: Schema = {
    "loss": Variable(("epoch",), "1", "mean error of the stimuli trained on, and penalties"),
    "held_out_loss": Variable(("epoch",), "1", "mean error of the stimuli held out"),
    "given": Variable(("target",), "1", "given response"),
    "fitted": Variable(("target",), "1", "fitted response"),
    "held_out": Variable(("target",), "1", "whether the stimulus was held out", holds="mask"),
    "run": Variable(("target",), "1", "stimulus of the target"),
    "group": Variable(("target",), "1", "group of the target"),
}
STIMULI: Schema = {
    "stimulus": Variable(("run", "sensor", "time"), "1", "input of the sensors"),
    "activity": Variable(("run", "neuron", "layer"), "1", "activity of all neurons"),
    "neuron_group": Variable(("neuron",), "1", "group of the neuron", coordinate=True),
}
ATTRIBUTION: Schema = {
    "value": Variable(("readout",), "1", "the readout"),
    "attribution": Variable(("readout", "sensor", "time"), "1", "contribution of each input to it"),
    "delta": Variable(("readout",), "1", "sum of attributions minus the readout's change"),
    "by_groups": Variable(
        ("readout", "post", "pre"), "1", "contribution of the connections between two groups to it"
    ),
    "silencing": Variable(("readout", "group"), "1", "its loss when a group is silenced"),
}
CONTROL: Schema = {
    "value": Variable(("readout",), "1", "the readout in the connectome"),
    "null": Variable(("draw", "readout"), "1", "the readout in null connectomes"),
}
RESPONSES: Schema = {
    "excitatory": Variable(("run", "time"), "1", "mean excitatory activity"),
    "inhibitory": Variable(("run", "time"), "1", "mean inhibitory activity"),
    "predicted": Variable(("run", "time"), "1", "mean excitatory activity of the mean field"),
    "eigenvalue": Variable(("run",), "1", "largest real part of the eigenvalues of W"),
    "stepped_from": Variable(("run",), "s", "time from which the run was stepped"),
    "parameter": Variable(("run",), "1", "key that is swept; empty: none"),
    "value": Variable(("run",), "1", "its value, as text"),
    "condition": Variable(("run",), "1", "condition of the connectome"),
    "seed": Variable(("run",), "1", "seed of the run"),
    "activity": Variable(("shown", "sample", "neuron"), "1", "activity of the first seed"),
    "weights": Variable(("shown", "post", "pre"), "1", "W[post, pre] of the first seed"),
    "spectrum": Variable(("shown", "mode", "part"), "1", "eigenvalues of W of the first seed"),
}
"""Excitatory neurons come first; attribute ``n_exc`` says how many they are."""
COORDINATES = {
    "time": ("tau", "time"),
    "x": ("1", "activity x"),
    "step": ("1", "optimiser step"),
    "frame": ("1", "image of the external input"),
    "receiver_type": ("1", "type of the receiver of a pair"),
    "sender_type": ("1", "type of the sender of a pair"),
    "sample": ("tau", "time of the frame"),
    "sample_frame": ("1", "number of the frame"),
    "segment": ("1", "trial of the frame"),
    "neuron": ("1", "name of the neuron"),
    "bound": ("1", "lower and upper end"),
    "run": ("1", "stimulus"),
    "layer": ("steps", "layer"),
    "sensor": ("1", "neuron that receives input"),
    "readout": ("1", "response that is followed"),
    "epoch": ("1", "pass over all stimuli"),
    "post": ("1", "receiving group"),
    "pre": ("1", "sending group"),
    "group": ("1", "group of neurons"),
}
