"""Connectome-constrained networks: fit, drive, attribute, trace.

The public names of connectome_interpreter's module activation_maximisation, so that a script works
by changing its import, and what goes beyond it. Further parts by module: objectives and penalties
of a search (``objectives``, ``penalties``), fits that can be followed and resumed (``fit``),
ensembles and variants (``ensembles``), parameters as tables (``parameters``).
"""

from ngpipe.connectome.attribution import get_gradients, saliency
from ngpipe.connectome.edges import (
    edge_attribution,
    edges_by_group,
    integrated_edge_attribution,
)
from ngpipe.connectome.fitting import train_model
from ngpipe.connectome.frames import (
    activity_by_column,
    add_sign,
    get_input_activation,
    get_neuron_activation,
    input_from_df,
)
from ngpipe.connectome.integrated import conductance, integrated_gradients
from ngpipe.connectome.lesions import ablation, occlusion
from ngpipe.connectome.network import LinearNetwork, MultilayeredNetwork, training_mode
from ngpipe.connectome.noise import robustness
from ngpipe.connectome.paths import (
    activated_path_for_ngl,
    activations_to_df,
    activations_to_df_batched,
    get_activations_for_path,
)
from ngpipe.connectome.plots import plot_activity_by_column, plot_timeseries
from ngpipe.connectome.schedule import Schedule, activate, clamp, silence
from ngpipe.connectome.search import find_stimuli
from ngpipe.connectome.smoothing import smoothgrad
from ngpipe.connectome.stimulus_guess import guess_optimal_stimulus
from ngpipe.connectome.stimulus_search import activation_maximisation
from ngpipe.connectome.targets import TargetActivation

__all__ = [
    "LinearNetwork",
    "MultilayeredNetwork",
    "Schedule",
    "TargetActivation",
    "ablation",
    "activate",
    "activated_path_for_ngl",
    "activation_maximisation",
    "activations_to_df",
    "activations_to_df_batched",
    "activity_by_column",
    "add_sign",
    "clamp",
    "conductance",
    "edge_attribution",
    "edges_by_group",
    "find_stimuli",
    "get_activations_for_path",
    "get_gradients",
    "get_input_activation",
    "get_neuron_activation",
    "guess_optimal_stimulus",
    "input_from_df",
    "integrated_edge_attribution",
    "integrated_gradients",
    "occlusion",
    "plot_activity_by_column",
    "plot_timeseries",
    "robustness",
    "saliency",
    "silence",
    "smoothgrad",
    "train_model",
    "training_mode",
]
