"""Schema of the store of a circuit experiment, besides the connectome."""

from ngpipe.schemas.variable import Schema, Variable

_COORDINATES = {
    "time": ("tau", "time"),
    "neuron": ("1", "name of the neuron"),
}

RESPONSES = Schema(
    {
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
    },
    _COORDINATES,
)
"""Excitatory neurons come first; attribute ``n_exc`` says how many they are."""
