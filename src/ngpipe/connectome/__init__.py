"""Networks of a fixed connectome, and the connectivity they rest on.

Three things, under one name each:

- run a connectome as a recurrent network, train it, search stimuli, attribute responses: the public
  names of connectome_interpreter's module activation_maximisation;
- analyse its connectivity: paths of n hops, effective connectivity by sign and by length, powers of
  W, weights between groups: the names of its modules compress_paths, path_finding, external_paths;
- what goes beyond the package: interventions, attribution along a path and by lesions, searches
  from many starts.

The network stands at the top (``network``, ``step``, ``parameters`` as tables); ``optimisation``
fits it and searches for stimuli, ``explanation`` attributes responses, ``interpreter`` holds what
only connectome_interpreter has: tables, paths, older forms.

A script of connectome_interpreter works by changing its import; presets
(:mod:`ngpipe.connectome.rules`) say which version's numbers it gives.

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
    "interpreter.compressed": (
        "add_first_n_matrices",
        "compress_paths",
        "compress_paths_dense_chunked",
        "compress_paths_not_chunked",
        "compress_paths_signed",
        "compress_paths_signed_no_chunking",
    ),
    "interpreter.effconn": (
        "effective_conn_from_paths",
        "effective_conn_from_paths_cpu",
        "path_for_ngl",
        "signed_effective_conn_from_paths",
    ),
    "interpreter.fitting": ("train_model",),
    "interpreter.grouping": ("group_paths",),
    "interpreter.legacy": (
        "legacy_activation_function",
        "legacy_activation_function_linear",
    ),
    "interpreter.length_plots": (
        "conn_by_path_length",
        "conn_by_path_length_heatmap",
        "contribution_by_path_lengths",
        "contribution_by_path_lengths_heatmap",
    ),
    "interpreter.lengths": (
        "conn_by_path_length_data",
        "signed_conn_by_path_length_data",
    ),
    "interpreter.loopless": ("effconn_without_loops",),
    "interpreter.paths": (
        "activated_path_for_ngl",
        "activations_to_df",
        "activations_to_df_batched",
        "get_activations_for_path",
    ),
    "interpreter.plots": (
        "plot_activity_by_column",
        "plot_timeseries",
    ),
    "interpreter.pruning": (
        "connected_components",
        "filter_paths",
        "remove_excess_neurons",
        "remove_excess_neurons_batched",
    ),
    "interpreter.shares": (
        "effective_conn_per_path_from_paths",
        "filter_all_paths_to_cumsum",
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
        "find_shortest_paths",
    ),
    "interpreter.xor": (
        "XORCircuit",
        "find_xor",
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
"""Public names, by module."""
_MODULE = {name: module for module, names in _NAMES.items() for name in names}
__all__ = sorted(_MODULE)


def __getattr__(name: str) -> object:
    if name not in _MODULE:
        raise AttributeError(f"module {__name__} has no attribute {name!r}; it has {__all__}")
    return getattr(import_module(f"{__name__}.{_MODULE[name]}"), name)


def __dir__() -> list[str]:
    return __all__
