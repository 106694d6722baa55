"""Schema of the store of a connectome."""

from ngpipe.schemas.variable import Schema, Variable

_COORDINATES = {
    "neuron": ("1", "name of the neuron"),
}

CONNECTOME = Schema(
    {
        "edge_pre": Variable(("edge",), "1", "index of the sending neuron"),
        "edge_post": Variable(("edge",), "1", "index of the receiving neuron"),
        "edge_weight": Variable(("edge",), "1", "weight, with the sign of its sender"),
        "id": Variable(("neuron",), "1", "id of the neuron"),
    },
    _COORDINATES,
)
"""Further variables along ``neuron`` are the columns of the neuron table."""
