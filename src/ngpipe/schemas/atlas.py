"""Schema of the store of an experiment on measured responses, besides the connectome."""

from ngpipe.schemas.variable import Schema, Variable

_COORDINATES = {
    "post": ("1", "name of the responding neuron"),
    "pre": ("1", "name of the stimulated neuron"),
}

MEASURED = Schema(
    {
        "response": Variable(("post", "pre"), "1", "measured response; NaN: not measured"),
        "trials": Variable(("post", "pre"), "1", "number of measurements of the pair", False),
    },
    _COORDINATES,
)
"""Attributes tell the file, its digest, and what to cite."""
