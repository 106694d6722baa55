"""Networks of a fixed connectome, and the connectivity they rest on.

Three things, under one name each:

- run a connectome as a recurrent network, train it, search stimuli, attribute responses: the public
  names of connectome_interpreter's module activation_maximisation;
- analyse its connectivity: paths of n hops, effective connectivity by sign and by length, powers of
  W, weights between groups: the names of its modules compress_paths, path_finding, external_paths;
- what goes beyond the package: interventions, attribution along a path and by lesions, searches
  from many starts. By module: objectives and penalties of a search (``objectives``,
  ``penalties``), fits that can be followed and resumed (``fit``), ensembles and variants
  (``ensembles``), parameters as tables (``parameters``).

A script of connectome_interpreter works by changing its import; presets
(:mod:`ngpipe.connectome.rules`) say which version's numbers it gives.

Names are looked up when they are used: importing one module loads no other, and the key of a step
covers what the step needs and nothing else (:mod:`ngpipe.keys`).
"""

from importlib import import_module

_NAMES = {
    "attribution": (
        "get_gradients",
        "saliency",
    ),
    "compressed": (
        "add_first_n_matrices",
        "compress_paths",
        "compress_paths_dense_chunked",
        "compress_paths_not_chunked",
        "compress_paths_signed",
        "compress_paths_signed_no_chunking",
    ),
    "edges": (
        "edge_attribution",
        "edges_by_group",
        "integrated_edge_attribution",
    ),
    "effconn": (
        "effective_conn_from_paths",
        "effective_conn_from_paths_cpu",
        "path_for_ngl",
        "signed_effective_conn_from_paths",
    ),
    "fitting": ("train_model",),
    "frames": (
        "activity_by_column",
        "add_sign",
        "get_input_activation",
        "get_neuron_activation",
        "input_from_df",
    ),
    "grouping": ("group_paths",),
    "integrated": (
        "conductance",
        "integrated_gradients",
    ),
    "legacy": (
        "legacy_activation_function",
        "legacy_activation_function_linear",
    ),
    "length_plots": (
        "conn_by_path_length",
        "conn_by_path_length_heatmap",
        "contribution_by_path_lengths",
        "contribution_by_path_lengths_heatmap",
    ),
    "lengths": (
        "conn_by_path_length_data",
        "signed_conn_by_path_length_data",
    ),
    "lesions": (
        "ablation",
        "occlusion",
    ),
    "loopless": ("effconn_without_loops",),
    "network": (
        "LinearNetwork",
        "MultilayeredNetwork",
    ),
    "noise": ("robustness",),
    "paths": (
        "activated_path_for_ngl",
        "activations_to_df",
        "activations_to_df_batched",
        "get_activations_for_path",
    ),
    "plots": (
        "plot_activity_by_column",
        "plot_timeseries",
    ),
    "pruning": (
        "connected_components",
        "filter_paths",
        "remove_excess_neurons",
        "remove_excess_neurons_batched",
    ),
    "schedule": (
        "activate",
        "clamp",
        "Schedule",
        "silence",
    ),
    "search": ("find_stimuli",),
    "shares": (
        "effective_conn_per_path_from_paths",
        "filter_all_paths_to_cumsum",
    ),
    "smoothing": ("smoothgrad",),
    "stimulus_guess": ("guess_optimal_stimulus",),
    "stimulus_search": ("activation_maximisation",),
    "summaries": (
        "connectivity_summary",
        "contribution_by_path_lengths_data",
        "result_summary",
    ),
    "targets": ("TargetActivation",),
    "walks": (
        "count_paths",
        "enumerate_paths",
        "find_shortest_paths",
    ),
    "tracing": (
        "el_within_n_steps",
        "find_paths_of_length",
    ),
    "training": ("training_mode",),
    "xor": (
        "XORCircuit",
        "find_xor",
    ),
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
