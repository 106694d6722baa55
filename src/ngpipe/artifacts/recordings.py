"""Opening of the data that training may see, of a simulation or recording; never the truth.

What a store says is checked before any work: its interval against its times (``sampling.py``), and
every frame of it (``survey.py``).
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe import store
from ngpipe.arrays import Trajectory
from ngpipe.artifacts import sampling, survey
from ngpipe.assembly.field import Sites
from ngpipe.assembly.fitted_input import InputSeries
from ngpipe.assembly.known_input import KnownInput
from ngpipe.assembly.recording import Recording
from ngpipe.assembly.sessions import Sessions
from ngpipe.config.assembly.training import Training
from ngpipe.errors import DeviceError, StoreError
from ngpipe.schemas import assembly as schemas

TARGETS = {"drift": "drift", "estimated": "rate"}
"""Variables that hold the targets which are not differences of activity."""

OF_ACTIVITY = {"activity", "activity_hat", "visited", "x"}
"""Variables of results that have the unit of activity."""


class Stored:
    """A variable over time that stays on disk; frames are read when they are asked for.

    Reading holds one chunk of the store beside the frames asked for.

    Args:
        variable: over time and neurons.
        device: where frames go.
    """

    def __init__(self, variable: xr.DataArray, device: torch.device) -> None:
        self._variable = variable
        # What is in memory has no chunks.
        self._length = variable.encoding.get("chunks", variable.shape)[0]
        self.shape, self.device = variable.shape, device

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, frames: slice | Int[Tensor, " frame"]) -> Trajectory:
        """Some frames."""
        if isinstance(frames, slice):
            return self._on_device(self._variable[frames].values)
        wanted = frames.cpu().numpy()
        found = np.empty((len(wanted), self.shape[1]), dtype=np.float32)
        chunk = wanted // self._length
        for k in np.unique(chunk):
            mine = chunk == k
            start = k * self._length
            block = self._variable[start : start + self._length].values
            found[mine] = block[wanted[mine] - start]
        return self._on_device(found)

    def _on_device(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values.astype("float32", copy=False)).to(self.device)


@dataclass(frozen=True)
class Opened:
    """A recording that was checked, and what results made from it say of it."""

    recording: Recording
    identity: survey.Identity
    """Digests of the variables that training sees."""
    labels: xr.Dataset
    """Coordinates of the neurons: their names and whatever else the store says of each; and of the
    inputs."""
    path: Path
    units: str = "1"
    """Unit of activity."""
    tau_seconds: float | None = None
    """Unit of time of the model [s], if the recording says it."""

    @property
    def left_out(self) -> int:
        """Frames without a target, beyond the last one of an unbroken recording."""
        return self.recording.n_frames - (self.recording.rate is None) - self.recording.n_usable

    @property
    def n_stretches(self) -> int:
        """Stretches without a gap or an absent value."""
        return len(self.recording.stretches or [1])

    @property
    def of_sessions(self) -> str:
        """How many of the neurons sessions see, and pairs that none sees; empty if all see all."""
        sessions = self.recording.sessions
        if sessions is None:
            return ""
        seen, counts = sessions.seen.sum(1), self.recording.pairs_seen()
        text = (
            f"sessions: {sessions.n_sessions} that see {int(seen.min())} to {int(seen.max())} of "
            f"{self.recording.n_neurons} neurons; pairs of neurons are seen together at "
            f"{int(counts.min()):,} to {int(counts.max()):,} training frames"
        )
        never = torch.nonzero(counts == 0).tolist()
        if not never:
            return text
        return (
            f"{text}. {len(never) // 2:,} pairs are never seen together (the first: neurons "
            f"{never[0][0]} and {never[0][1]}): nothing is known of their weights, which have no "
            "error and are not called connected"
        )

    def notes(self) -> dict[str, object]:
        """Notes for manifests and attributes."""
        return {
            "recording": survey.text(self.identity),
            "stretches": self.n_stretches,
            "frames_left_out": self.left_out,
        }

    def labelled(self, dataset: xr.Dataset) -> xr.Dataset:
        """A result with the names of the neurons, and the recording it was made from."""
        named = dataset.assign_coords(self.labels.coords)
        labels = named.coords.get("neuron", named.coords.get("name"))
        for dim, meaning in (("post", "receiving neuron"), ("pre", "sending neuron")):
            if labels is not None and dim in named.dims:
                named = named.assign_coords({dim: (dim, labels.values, {"long_name": meaning})})
        for name in OF_ACTIVITY & set(map(str, named.variables)):
            named[name].attrs["units"] = self.units
        if self.tau_seconds is not None:
            named = named.assign_attrs(tau_seconds=self.tau_seconds)
        return named.assign_attrs(recording=survey.text(self.identity))


def load(
    simulation: Path, cfg: Training, device: torch.device, *, in_memory: bool = False
) -> Recording:
    """The recording alone; see :func:`opened`."""
    return opened(simulation, cfg, device, in_memory=in_memory).recording


def opened(
    simulation: Path, cfg: Training, device: torch.device, *, in_memory: bool = False
) -> Opened:
    """Open activity and, if it is the target, the exact drift, once all of it has been looked at.

    Args:
        simulation: the store.
        cfg: the training section of the config.
        device: where frames go.
        in_memory: read all frames now, for a reader that wants them over and over at random.

    Raises:
        StoreError: the store lacks what ``cfg`` asks for, contradicts itself, or holds nothing that
            can be learned from.
        DeviceError: the recording does not fit the device.
    """
    dataset = store.read(simulation, schemas.SIMULATION)
    return checked(dataset, simulation, cfg, device, in_memory=in_memory)


def checked(
    dataset: xr.Dataset,
    simulation: Path,
    cfg: Training,
    device: torch.device,
    *,
    in_memory: bool = False,
) -> Opened:
    """The same of a dataset at hand; ``simulation`` is its name in errors."""
    dt, broken = sampling.interval(dataset, simulation), sampling.breaks(dataset, simulation)
    if cfg.target == "drift" and "drift" not in dataset:
        raise StoreError(
            f"{simulation} holds no exact drift, as is usual for recordings; set "
            "training.target: finite_difference"
        )
    if cfg.target == "estimated" and "rate" not in dataset:
        raise StoreError(
            f"{simulation} holds no estimated rate; set source.observation.rate and import the "
            "recording again, or set training.target: finite_difference"
        )
    sites = _sites(dataset, simulation, device) if cfg.input == "field" else None
    known = _known(dataset, simulation, cfg, device) if cfg.input == "known" else None
    inputs = _inputs(dataset, simulation, cfg, device) if cfg.input == "fitted" else None
    found = survey.survey(dataset, simulation, survey.seen(cfg))
    if inputs is not None:
        whole = np.isfinite(dataset["inputs"].values).all(axis=1)
        found = replace(found, finite=found.finite & whole)
    survey.check_moving(found, dataset, simulation)
    arrays = _arrays(dataset, simulation, cfg, device, in_memory=in_memory)
    recording = Recording(
        arrays["activity"],
        arrays.get(TARGETS.get(cfg.target, "")),
        dt=dt,
        held_out=cfg.held_out,
        in_blocks=cfg.held_out_as == "blocks",
        sites=sites,
        known_input=known,
        inputs=inputs,
        stretches=survey.stretches(found.finite, broken),
        sessions=_sessions(found, cfg, simulation),
        intervals=_intervals(dataset, simulation),
        reach=_reach(dataset, simulation) if cfg.target == "estimated" else None,
        state_noise=_state_noise(dataset, simulation, device),
    )
    _check_enough(recording, found, dataset, simulation)
    tau = dataset.attrs.get("tau_seconds")
    return Opened(
        recording,
        found.identity,
        _labels(dataset),
        simulation,
        units=str(dataset["activity"].attrs.get("units", "1")),
        tau_seconds=None if tau is None else float(tau),
    )


def _sessions(found: survey.Survey, cfg: Training, path: Path) -> Sessions | None:
    """Sessions that lack some of the neurons; None if there are none such.

    Raises:
        StoreError: the config asks for what needs all neurons at every frame.
    """
    if found.session is None or found.seen is None:
        return None
    needs = [
        (cfg.solver != "closed_form", "solver", "closed_form"),
        (cfg.network.psi_sees != "activity", "network.psi_sees", "activity"),
        (cfg.network.one_type, "network.one_type", "false"),
        (cfg.input == "field", "input", "none"),
        (
            cfg.input in ("known", "fitted") and cfg.input_mode == "multiplicative",
            "input_mode",
            "additive",
        ),
        (cfg.closed_form.prior == "sparse", "closed_form.prior", "none"),
        (cfg.closed_form.dale, "closed_form.dale", "false"),
    ]
    for wrong, key, instead in needs:
        if wrong:
            lacking = int((~found.seen.all(axis=1)).sum())
            raise StoreError(
                f"{path}: {lacking} of {len(found.seen)} sessions lack some of the neurons, and "
                f"the setting of training.{key} needs all of them at every frame; set "
                f"training.{key}: {instead}, or leave out these sessions, or the neurons that they "
                "lack"
            )
    return Sessions(torch.from_numpy(found.session), torch.from_numpy(found.seen))


def _arrays(
    dataset: xr.Dataset, path: Path, cfg: Training, device: torch.device, *, in_memory: bool
) -> dict[str, Any]:
    names = ["activity", *([TARGETS[cfg.target]] if cfg.target in TARGETS else [])]
    arrays = {name: Stored(dataset[name], device) for name in names}
    if not in_memory:
        return arrays
    try:
        return {name: array[:] for name, array in arrays.items()}
    except torch.OutOfMemoryError as error:
        gigabytes = sum(dataset[n].nbytes for n in names) / 1e9
        raise DeviceError(
            f"{path} needs {gigabytes:.1f} GB on {device}, which has less free; use "
            "--device cpu, or a recording of fewer frames"
        ) from error


def _reach(dataset: xr.Dataset, path: Path) -> tuple[int, int]:
    """Frames before and after each that its rate is from."""
    reach = np.atleast_1d(dataset["rate"].attrs.get("reach", ()))
    if reach.shape != (2,) or reach.dtype.kind not in "iu" or reach.min() < 0:
        raise StoreError(
            f"{path}: the attribute `reach` of `rate` is {reach.tolist()}, expected two numbers of "
            "frames, before and after each, that its rate is from; add it, so that no rate that "
            "shares frames with held-out ones is trained on"
        )
    return int(reach[0]), int(reach[1])


def _intervals(dataset: xr.Dataset, path: Path) -> Float[Tensor, " frame"] | None:
    found = sampling.steps(dataset, path)
    return None if found is None else torch.from_numpy(found)


def _state_noise(
    dataset: xr.Dataset, path: Path, device: torch.device
) -> Float[Tensor, " neuron"] | None:
    if "activity_noise" not in dataset:
        return None
    found = store.values(dataset, "activity_noise", schemas.SIMULATION, where=path)
    return torch.from_numpy(found.astype("float64")).nan_to_num().to(device)


def _labels(dataset: xr.Dataset) -> xr.Dataset:
    """Coordinates over neurons, but for those that have the name of a variable of ours."""
    own = {*schemas.SIMULATION, *schemas.RECOVERY, *schemas.ROLLOUT}
    mine = {n: c.variable for n, c in dataset.coords.items() if c.dims in (("neuron",), ("input",))}
    return xr.Dataset(coords={name: c for name, c in mine.items() if name not in own})


def _check_enough(
    recording: Recording, found: survey.Survey, dataset: xr.Dataset, path: Path
) -> None:
    """Refuse a recording of which gaps and absent values leave too little.

    Raises:
        StoreError: naming the neuron that costs most.
    """
    kept = [len(recording.training_frames), *map(len, recording.blocks)]
    if min(kept) > 0:
        return
    worst = int(found.absent.argmax())
    costs = (
        f"; {survey.named(dataset, worst)} alone has no finite value at {found.absent[worst]} "
        "frames: leave such neurons out"
        if found.absent[worst]
        else "; longer stretches without a gap are needed"
    )
    raise StoreError(
        f"{path}: {recording.n_usable} of {recording.n_frames} frames have a target; gaps and "
        f"missing values remove the others: too few to train and to hold some out{costs}"
    )


def _sites(dataset: xr.Dataset, path: Path, device: torch.device) -> Sites:
    """Driven neurons, and their positions."""
    missing = [name for name in ("driven", "position") if name not in dataset]
    if missing:
        raise StoreError(
            f"{path} does not hold {' and '.join(missing)}, which are needed to learn a field; add "
            "them, or set training.input: none"
        )
    driven = np.flatnonzero(store.values(dataset, "driven", schemas.SIMULATION, where=path))
    position = dataset["position"].values[driven]
    if position.shape[1] != 2:
        raise StoreError(
            f"{path}: `position` has {position.shape[1]} numbers per neuron, expected 2, its "
            "position in the plane"
        )
    outside = driven[~((position >= 0) & (position <= 1)).all(axis=1)]
    if len(driven) == 0:
        raise StoreError(f"{path}: `driven` names no neuron; set training.input: none")
    if len(outside):
        raise StoreError(
            f"{path} puts {len(outside)} driven neurons outside the unit square, the first of them "
            f"number {outside[0]}; rescale `position` so that driven neurons lie in [0, 1] x [0, 1]"
        )
    return Sites(
        torch.from_numpy(driven),
        torch.from_numpy(position.astype("float32")),
        dataset.sizes["neuron"],
    ).to(device)


def _inputs(dataset: xr.Dataset, path: Path, cfg: Training, device: torch.device) -> InputSeries:
    """Recorded inputs whose coefficients are fitted."""
    if "inputs" not in dataset:
        raise StoreError(
            f"{path} holds no `inputs`, whose coefficients training.input: fitted asks for; name "
            "the series in source.inputs and import the recording again, or set "
            "training.input: none"
        )
    values = dataset["inputs"]
    names = tuple(map(str, values["input"].values.tolist()))
    raw = torch.from_numpy(values.values.astype("float64"))
    return InputSeries.of(raw, names, cfg.input_mode).to(device)


def _known(dataset: xr.Dataset, path: Path, cfg: Training, device: torch.device) -> KnownInput:
    """The input that is given to the model."""
    missing = [name for name in ("external_input", "input_frame") if name not in dataset]
    if missing:
        raise StoreError(
            f"{path} does not hold {' and '.join(missing)}, so the input cannot be given to the "
            "model; add them, or set training.input to field or none"
        )
    table, shown = (
        store.values(dataset, name, schemas.SIMULATION, where=path)
        for name in ("external_input", "input_frame")
    )
    wrong = np.flatnonzero((shown < 0) | (shown > len(table) - 1))
    if len(wrong):
        raise StoreError(
            f"{path}: 'input_frame' is {shown[wrong[0]]:g} at time {wrong[0]}, one of {len(wrong)} "
            f"such values; expected 0 to {len(table) - 1}, as `external_input` has {len(table)} "
            "images. Correct them in the store"
        )
    return KnownInput(
        torch.from_numpy(table.astype("float32")).to(device),
        torch.from_numpy(shown.astype("float64")).to(device),
        dt=dataset.attrs["dt"],
        mode=cfg.input_mode,
    )
