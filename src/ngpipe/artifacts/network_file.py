"""The network of a connectome on disk: its parameters, and how to build it again."""

from pathlib import Path

import torch
import xarray as xr

from ngpipe.artifacts import parameter_file
from ngpipe.config.connectome.excitability import Network
from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.connectome.parameters import parameters_of, set_parameters
from ngpipe.errors import ArgumentError, ConfigError, StoreError
from ngpipe.wiring import columns
from ngpipe.wiring.container import Connectome

UNKNOWN = "unknown"
"""Group of neurons whose group is not known."""


def build(connectome: Connectome, cfg: Network, device: torch.device) -> MultilayeredNetwork:
    """A network with the parameters of its config.

    Raises:
        ConfigError: nobody to receive input, or values of groups that do not exist.
        ConnectomeError: a column that the neurons do not have.
    """
    groups = columns.labels(connectome.column(cfg.groups)).fillna(UNKNOWN)
    for key, given in (("slopes", cfg.slopes), ("biases", cfg.biases)):
        absent = sorted(set(given) - set(groups))
        if absent:
            raise ConfigError(
                f"network.{key} names {absent}, which are not groups; the groups are "
                f"{sorted(set(groups))[:20]}"
            )
    return MultilayeredNetwork(
        weights_of(connectome, cfg),
        sensors_of(connectome, cfg),
        num_layers=cfg.layers,
        threshold=cfg.threshold,
        tanh_steepness=cfg.slope,
        idx_to_group=dict(enumerate(groups)),
        default_bias=cfg.bias,
        bias_dict=cfg.biases,
        slope_dict=cfg.slopes,
        tau=cfg.tau,
        device=device,
        preset=cfg.preset,
    )


def weights_of(connectome: Connectome, cfg: Network) -> Connectome:
    """The connectome with the weights that its network starts from."""
    return connectome if cfg.normalise == "none" else connectome.normalised(cfg.normalise)


def sensors_of(connectome: Connectome, cfg: Network) -> list[int]:
    """Indices of the neurons that receive input.

    Raises:
        ConfigError: there are none.
    """
    ((column, values),) = cfg.sensors.items()
    names = columns.labels(connectome.column(column))
    found = names.isin([columns.label(value) for value in values]).to_numpy().nonzero()[0]
    if not len(found):
        known = sorted(names.dropna().unique())
        raise ConfigError(
            f"network.sensors: no neuron has {column} {list(values)}; the values are {known[:20]}"
        )
    return found.tolist()


def rewired(
    network: MultilayeredNetwork, cfg: Network, connectome: Connectome
) -> MultilayeredNetwork:
    """Another connectome of the same neurons with the parameters of a network.

    Pairs of groups that only the other connects have no fitted strength: theirs is 1.
    """
    other = build(connectome, cfg, network.device)
    table = parameters_of(network)
    if "strength" in table:
        other.add_strengths()
        known = parameters_of(other)["strength"]
        fitted = dict(zip(_pairs(table["strength"]), table["strength"].values, strict=True))
        found = known.copy(data=[fitted.get(pair, 1.0) for pair in _pairs(known)])
        table = table.drop_dims("pair").assign(strength=found)
    set_parameters(other, table)
    return other


def _pairs(strength: xr.DataArray) -> list[tuple[str, str]]:
    """Names of the groups that each strength connects: post, pre."""
    return list(zip(strength["post"].values, strength["pre"].values, strict=True))


def write(network: MultilayeredNetwork, cfg: Network, path: Path, *, key: str) -> None:
    """Write parameters and the digest of the connectome, whole or not at all."""
    state: dict[str, torch.Tensor] = dict(network.named_parameters())
    state["connectome_digest"] = network.connectome_digest
    about = {"key": key, "network": cfg.model_dump(mode="json")}
    parameter_file.write(path, state, about)


def read(directory: Path, device: torch.device) -> tuple[Connectome, Network, MultilayeredNetwork]:
    """The connectome of an experiment, the config of its network, and the network.

    Raises:
        StoreError: a file is absent, truncated, or of another connectome.
    """
    connectome = Connectome.load(directory / "connectome.zarr")
    path = directory / "network.safetensors"
    about, state = parameter_file.read(path, "network", "fit")
    cfg = Network.model_validate(about["network"])
    network = build(connectome, cfg, device)
    try:
        network.load_state_dict({**network.state_dict(), **state})
    except ArgumentError as error:
        raise StoreError(f"{path}: {error}; run the step `fit` again") from error
    return connectome, cfg, network
