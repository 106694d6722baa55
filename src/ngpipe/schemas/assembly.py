"""Schemas of the stores of an assembly experiment."""

from ngpipe.schemas.variable import Schema, Variable

_COORDINATES = {
    "time": ("tau", "time"),
    "x": ("1", "activity x"),
    "step": ("1", "optimiser step"),
    "frame": ("1", "image of the external input"),
    "receiver_type": ("1", "type of the receiver of a pair"),
    "sender_type": ("1", "type of the sender of a pair"),
    "sample": ("tau", "time of the frame"),
    "sample_frame": ("1", "number of the frame"),
    "segment": ("1", "trial of the frame"),
    "session": ("1", "session of the frame"),
    "neuron": ("1", "name of the neuron"),
    "input": ("1", "name of the input"),
    "input_units": ("1", "unit of the input"),
    "bound": ("1", "lower and upper end"),
    "half": ("1", "half of the training frames"),
    "predictor": ("1", "what forecasts"),
    "start": ("1", "number of the frame that a forecast starts from"),
    "lead": ("tau", "time since the start of a forecast"),
}
_PAIR = ("pair", "x")
"""A transfer function of receiver and sender: pairs of types, the sender's runs fastest."""

SIMULATION = Schema(
    {
        "activity": Variable(("time", "neuron"), "1", "activity x"),
        "drift": Variable(("time", "neuron"), "1/tau", "exact rate dx/dt before noise", False),
        "rate": Variable(
            ("time", "neuron"), "1/tau", "rate dx/dt estimated from a recording", False
        ),
        "recorded": Variable(("time", "neuron"), "1", "signal in the units of its file", False),
        "activity_noise": Variable(
            ("neuron",), "1", "standard deviation of the measurement noise of activity", False
        ),
        "rate_noise": Variable(
            ("neuron",), "1/tau", "standard deviation that this noise gives the rate", False
        ),
        "connectivity": Variable(
            ("post", "pre"), "1/tau", "effective coupling g_i W_ij, row i receives", False
        ),
        "gain": Variable(("neuron",), "1/tau", "gain g_i on the summed input", False),
        "neuron_type": Variable(
            ("neuron",), "1", "index of the neuron's type", False, coordinate=True
        ),
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
        "inputs": Variable(
            ("time", "input"), "1", "stimuli and behaviour, each in its own unit", False
        ),
        "phi": Variable(("type", "x"), "1/tau", "update function phi of each type", False),
        "psi": Variable(("type", "x"), "1", "transfer function psi of each type", False, _PAIR),
    },
    _COORDINATES,
)
TRAINING = Schema(
    {
        "connectivity": Variable(
            ("step", "post", "pre"), "1/tau", "learned effective coupling during training"
        ),
    },
    _COORDINATES,
)
RECOVERY = Schema(
    {
        "connectivity": Variable(("post", "pre"), "1/tau", "recovered effective coupling"),
        "connectivity_error": Variable(
            ("post", "pre"), "1/tau", "standard error of the recovered coupling", False
        ),
        "connected": Variable(
            ("post", "pre"), "1", "whether a connection is called present", False, holds="mask"
        ),
        "unobserved_bias": Variable(
            ("post",), "1/tau", "error of a row's weights by neurons not recorded", False
        ),
        "pairs_seen": Variable(
            ("post", "pre"), "1", "training frames that see both neurons of a pair", False
        ),
        "connectivity_halves": Variable(
            ("half", "post", "pre"), "1/tau", "W of either half of the training frames", False
        ),
        "latent": Variable(
            ("neuron", "component"), "1", "latent vector a_i", or_dims=("neuron", "latent")
        ),
        "neuron_type": Variable(("neuron",), "1", "index of the recovered type", coordinate=True),
        "phi": Variable(("neuron", "x"), "1/tau", "recovered update function phi*"),
        "psi": Variable(("neuron", "x"), "1", "recovered transfer function psi*", True, _PAIR),
        "external_input": Variable(("sample", "neuron"), "1", "recovered external input", False),
        "input_coefficient": Variable(
            ("neuron", "input"), "1/tau", "effect of each input, per unit of the input", False
        ),
        "input_error": Variable(
            ("neuron", "input"), "1/tau", "standard error of this effect", False
        ),
        "visited": Variable(("neuron", "bound"), "1", "ends of the visited range of activity"),
    },
    _COORDINATES,
)
ROLLOUT = Schema(
    {
        "activity": Variable(("time", "neuron"), "1", "activity x"),
        "activity_hat": Variable(
            ("time", "neuron"), "1", "activity x predicted from the first frame on"
        ),
        "drift": Variable(("sample", "neuron"), "1/tau", "target rate dx/dt, held out"),
        "drift_hat": Variable(("sample", "neuron"), "1/tau", "predicted rate dx/dt, held out"),
        "forecast_error": Variable(
            ("predictor", "start", "lead"), "1", "mean squared error of a forecast", False
        ),
        "forecast_variance": Variable(
            ("start", "lead"), "1", "mean squared deviation of activity from its mean", False
        ),
    },
    _COORDINATES,
)
