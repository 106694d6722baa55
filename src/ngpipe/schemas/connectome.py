"""Schemas of the stores of a connectome experiment, besides the connectome."""

from ngpipe.schemas.variable import Schema, Variable

_COORDINATES = {
    "time": ("tau", "time"),
    "run": ("1", "stimulus"),
    "layer": ("steps", "layer"),
    "sensor": ("1", "neuron that receives input"),
    "readout": ("1", "response that is followed"),
    "epoch": ("1", "pass over all stimuli"),
    "neuron": ("1", "name of the neuron"),
    "post": ("1", "receiving group"),
    "pre": ("1", "sending group"),
    "group": ("1", "group of neurons"),
}

FIT = Schema(
    {
        "loss": Variable(("epoch",), "1", "mean error of the stimuli trained on, and penalties"),
        "held_out_loss": Variable(("epoch",), "1", "mean error of the stimuli held out"),
        "given": Variable(("target",), "1", "given response"),
        "fitted": Variable(("target",), "1", "fitted response"),
        "held_out": Variable(("target",), "1", "whether the stimulus was held out", holds="mask"),
        "run": Variable(("target",), "1", "stimulus of the target"),
        "group": Variable(("target",), "1", "group of the target"),
    },
    _COORDINATES,
)
STIMULI = Schema(
    {
        "stimulus": Variable(("run", "sensor", "time"), "1", "input of the sensors"),
        "activity": Variable(("run", "neuron", "layer"), "1", "activity of all neurons"),
        "neuron_group": Variable(("neuron",), "1", "group of the neuron", coordinate=True),
    },
    _COORDINATES,
)
ATTRIBUTION = Schema(
    {
        "value": Variable(("readout",), "1", "the readout"),
        "attribution": Variable(
            ("readout", "sensor", "time"), "1", "contribution of each input to it"
        ),
        "delta": Variable(("readout",), "1", "sum of attributions minus the readout's change"),
        "by_groups": Variable(
            ("readout", "post", "pre"),
            "1",
            "contribution of the connections between two groups to it",
        ),
        "silencing": Variable(("readout", "group"), "1", "its loss when a group is silenced"),
    },
    _COORDINATES,
)
CONTROL = Schema(
    {
        "value": Variable(("readout",), "1", "the readout in the connectome"),
        "null": Variable(("draw", "readout"), "1", "the readout in null connectomes"),
    },
    _COORDINATES,
)
