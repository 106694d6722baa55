"""Connectome-constrained networks: fit, drive, attribute, trace.

The public names of connectome_interpreter's module activation_maximisation, so that a script works
by changing its import, and what goes beyond it. The network stands at the top (``network``,
``step``); ``optimisation`` fits it and searches for stimuli, ``explanation`` attributes responses,
``interpreter`` holds the tables and paths of connectome_interpreter.

Names are looked up when they are used: importing one module loads no other, and the key of a step
covers what the step needs and nothing else (:mod:`ngpipe.keys`).
"""

from importlib import import_module

_NAMES = {
    "dataframes": (
        "activity_by_column",
        "add_sign",
        "get_input_activation",
        "get_neuron_activation",
        "input_from_df",
    ),
    "explanation.attribution": (
        "get_gradients",
        "saliency",
    ),
    "explanation.edge_attribution": (
        "edge_attribution",
        "edges_by_group",
        "integrated_edge_attribution",
    ),
    "explanation.integrated": (
        "conductance",
        "integrated_gradients",
    ),
    "explanation.lesions": (
        "ablation",
        "occlusion",
    ),
    "explanation.smoothing": ("smoothgrad",),
    "interpreter.fitting": ("train_model",),
    "interpreter.grouping": ("group_paths",),
    "interpreter.legacy": (
        "legacy_activation_function",
        "legacy_activation_function_linear",
    ),
    "interpreter.loopless": ("effconn_without_loops",),
    "interpreter.paths": (
        "activated_path_for_ngl",
        "activations_to_df",
        "activations_to_df_batched",
        "get_activations_for_path",
    ),
    "interpreter.plots": (
        "contribution_by_path_lengths",
        "plot_activity_by_column",
        "plot_timeseries",
    ),
    "interpreter.pruning": (
        "connected_components",
        "filter_paths",
        "remove_excess_neurons",
    ),
    "interpreter.stimulus_guess": ("guess_optimal_stimulus",),
    "interpreter.stimulus_search": ("activation_maximisation",),
    "interpreter.summaries": (
        "connectivity_summary",
        "contribution_by_path_lengths_data",
        "result_summary",
    ),
    "interpreter.tracing": (
        "el_within_n_steps",
        "find_paths_of_length",
    ),
    "interpreter.walks": (
        "count_paths",
        "enumerate_paths",
    ),
    "network": (
        "LinearNetwork",
        "MultilayeredNetwork",
    ),
    "optimisation.noise": ("robustness",),
    "optimisation.search": ("find_stimuli",),
    "optimisation.targets": ("TargetActivation",),
    "schedule": (
        "activate",
        "clamp",
        "Schedule",
        "silence",
    ),
    "trained_parameters": ("training_mode",),
}
"""What is public, by module."""
_MODULE = {name: module for module, names in _NAMES.items() for name in names}
__all__ = sorted(_MODULE)


def __getattr__(name: str) -> object:
    if name not in _MODULE:
        raise AttributeError(f"module {__name__} has no attribute {name!r}; it has {__all__}")
    return getattr(import_module(f"{__name__}.{_MODULE[name]}"), name)


def __dir__() -> list[str]:
    return __all__
