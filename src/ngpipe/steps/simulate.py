"""Config of a simulation -> ``simulation.zarr``."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from ngpipe import store
from ngpipe.arrays import Activity, Connectivity, Rate
from ngpipe.artifacts.progress import progress, say, say_notes
from ngpipe.config.assembly.inputs import Movie, Video
from ngpipe.config.assembly.simulation import Simulation
from ngpipe.dynamics import assembly
from ngpipe.dynamics.inputs import ExternalInput, external_input, grid_positions
from ngpipe.dynamics.integrate import blocks, euler_maruyama
from ngpipe.dynamics.saturation import Saturation
from ngpipe.schemas import assembly as schemas
from ngpipe.wiring.ensembles import noted_weights
from ngpipe.wiring.sources.opened import noting

CURVE_POINTS = 2_001
"""Activities at which the true functions are tabulated."""
DISC_CENTRE = (0.5, 1.6)
"""Centre of the disc of neurons without input, next to the unit square."""


def run(cfg: Simulation, directory: Path, *, key: str, device: torch.device) -> None:
    """Simulate the assembly a config describes and write its store."""
    notes: dict[str, object] = {}
    provenance = store.Provenance("simulate", key, cfg.model_dump(), str(device), notes)
    write(cfg, directory / "simulation.zarr", provenance, notes, device)


def write(
    cfg: Simulation,
    path: Path,
    provenance: store.Provenance,
    notes: dict[str, object],
    device: torch.device,
    labels: Sequence[str] = (),
) -> None:
    """Simulate, and write the store of another step.

    Args:
        cfg: the section `simulation` of the config.
        path: of the store.
        provenance: origin of the store, with the same ``notes``.
        notes: gets what is found on the way.
        device: where to simulate.
        labels: names of the neurons, if they have any.
    """
    truth = _drawn(cfg, notes)
    dataset = _store_to_be(cfg, truth)
    if labels:
        dataset = dataset.assign_coords(neuron=list(labels))
    frames = _frames(cfg, truth, device)
    saturation = Saturation(assembly.flat_from(truth.constants))
    with (
        torch.inference_mode(),
        progress(cfg.burn_in + cfg.n_frames, "simulate", unit="frame") as bar,
        store.writing(dataset, path, schemas.SIMULATION, provenance) as out,
    ):
        reach = _put_frames(cfg, frames, out, saturation, bar.update)
        _put_curves(cfg, reach, out)
        notes |= _saturation(saturation)


@dataclass(frozen=True)
class _Assembly:
    """What is drawn before the first frame; per neuron, but for the couplings."""

    types: np.ndarray
    gain: np.ndarray
    position: np.ndarray
    coupling: Connectivity
    """g_i W_ij, (post, pre) [1/tau]."""
    constants: assembly.Constants
    external: ExternalInput | None


def _drawn(cfg: Simulation, notes: dict[str, object]) -> _Assembly:
    """Types, places, couplings and external input; ``notes`` gets what was read of a file."""
    types = assembly.type_of_neuron(cfg)
    gain = np.array([t.gain for t in cfg.types], dtype=np.float32)[types]
    position = _positions(cfg)
    external: ExternalInput | None = None
    if cfg.input is not None:
        external = external_input(
            cfg.input, position, n_frames=cfg.n_frames * cfg.frame_every, dt=cfg.dt
        )
    with noting() as shown:
        weights, noted = noted_weights(cfg.connectivity, cfg.n_neurons)
    say_notes("simulate", noted, shown)
    if noted:
        notes["connectivity_notes"] = list(noted)
    coupling = torch.from_numpy(gain[:, None] * weights)
    constants = assembly.constants_of(cfg.types, types)
    return _Assembly(types, gain, position, coupling, constants, external)


def _frames(
    cfg: Simulation, truth: _Assembly, device: torch.device
) -> Iterator[tuple[Activity, Rate]]:
    """Activity and rate, one step after the other, from the start of the burn-in on."""
    external = truth.external
    drift = assembly.assembly_drift(
        truth.coupling.to(device),
        truth.constants.to(device),
        None if external is None else external.to(device),
    )
    generator = torch.Generator().manual_seed(cfg.seed)
    x0 = (cfg.initial_std * torch.randn(cfg.n_neurons, generator=generator)).to(device)
    sigma = cfg.noise / cfg.dt**0.5
    return euler_maruyama(
        drift, x0, dt=cfg.dt, noise=sigma, generator=generator, first=-cfg.burn_in
    )


def _put_frames(
    cfg: Simulation,
    frames: Iterator[tuple[Activity, Rate]],
    out: store.Blocks,
    saturation: Saturation,
    advance: Callable[[int], object],
) -> float:
    """Write what follows the burn-in; returns the largest activity, in size."""
    reach, length = 0.0, store.block_length(cfg.n_neurons)
    for _, x, _ in blocks(frames, cfg.burn_in, length=length, first=-cfg.burn_in):
        advance(len(x))
    stored = islice(frames, 0, None, cfg.frame_every)
    for start, x, rate in blocks(stored, cfg.n_frames, length=length):
        out.put("activity", start, x.cpu().numpy())
        out.put("drift", start, rate.cpu().numpy())
        reach = max(reach, float(x.abs().max()))
        saturation.add(x)
        advance(len(x))
    return reach


def _put_curves(cfg: Simulation, reach: float, out: store.Blocks) -> None:
    """Write the true functions, over the activities that were reached."""
    x = torch.linspace(-reach, reach, CURVE_POINTS)
    out.put("phi", 0, assembly.true_phi(cfg.types, x).numpy())
    out.put("psi", 0, assembly.true_psi(cfg.types, x).flatten(0, 1)[_pairs(cfg)[0]].numpy())
    out.put("x", 0, x.numpy())


def _saturation(found: Saturation) -> dict[str, object]:
    """Saturation for the manifest; warns if it hides something."""
    if found.warning is None:
        return {"saturated": found.share}
    say(f"warning: {found.warning}")
    return {
        "saturated": found.share,
        "constant_senders": found.constant,
        "warning": found.warning,
    }


def _store_to_be(cfg: Simulation, truth: _Assembly) -> xr.Dataset:
    """All that is known beforehand, and room for what the simulation finds."""
    dataset = xr.merge([_neurons(cfg, truth), _input(cfg, truth.external)])
    dataset.attrs["dt"] = cfg.interval
    return dataset


def _neurons(cfg: Simulation, truth: _Assembly) -> xr.Dataset:
    n, frames, n_types = cfg.n_neurons, cfg.n_frames, len(cfg.types)
    pairs, of = _pairs(cfg)
    dims = "pair" if of == "pair" else "type"
    return xr.Dataset(
        {
            "activity": (("time", "neuron"), store.empty(frames, n)),
            "drift": (("time", "neuron"), store.empty(frames, n)),
            "connectivity": (("post", "pre"), truth.coupling.numpy()),
            "gain": (("neuron",), truth.gain),
            "neuron_type": (("neuron",), truth.types),
            "position": (("neuron", "axis"), truth.position),
            "phi": (("type", "x"), store.empty(n_types, CURVE_POINTS)),
            "psi": ((dims, "x"), store.empty(len(pairs), CURVE_POINTS), {"of": of}),
        },
        coords={"time": cfg.interval * np.arange(frames), "x": np.zeros(CURVE_POINTS, np.float32)},
    )


def _input(cfg: Simulation, external: ExternalInput | None) -> xr.Dataset:
    """The external input: which image shows when, and whom it drives."""
    if external is None or cfg.input is None:
        return xr.Dataset()
    driven = np.arange(cfg.n_neurons) < cfg.input.n_inputs
    shown = external.image(cfg.interval * np.arange(cfg.n_frames))
    return xr.Dataset(
        {
            "driven": (("neuron",), driven),
            "external_input": (
                ("frame", "neuron"),
                external.table.numpy(),
                {"units": "1" if external.mode == "multiplicative" else "1/tau"},
            ),
            "input_frame": (("time",), shown),
        },
        coords={"frame": np.arange(len(external.table))},
    )


def _pairs(cfg: Simulation) -> tuple[list[int], str]:
    """(receiver, sender) pairs of types with their own psi, and the arguments of psi."""
    n = len(cfg.types)
    by_receiver = len({t.receiver_width for t in cfg.types}) > 1
    by_sender = len({(t.sender_width, t.linear) for t in cfg.types}) > 1
    if by_receiver and by_sender:
        return list(range(n * n)), "pair"
    if by_receiver:
        return list(range(0, n * n, n)), "receiver"
    return list(range(n)), "sender" if by_sender else "activity"


def _positions(cfg: Simulation) -> np.ndarray:
    """Driven neurons on a grid over the unit square, the others on a disc beside it."""
    generator = np.random.default_rng(cfg.seed)
    if cfg.input is None:
        return generator.permutation(assembly.sunflower(cfg.n_neurons))
    rest = generator.permutation(assembly.sunflower(cfg.n_neurons - cfg.input.n_inputs))
    if isinstance(cfg.input, Movie | Video):
        driven = grid_positions(cfg.input, generator)
    else:
        driven = generator.permutation(assembly.sunflower(cfg.input.n_inputs)) + 0.5
    return np.concatenate([driven, rest + DISC_CENTRE])
