"""Recorded files -> ``simulation.zarr``, in the form in which a simulation stands there."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ngpipe import store
from ngpipe.acquisition import recorded_inputs, refusals
from ngpipe.acquisition.formats import table
from ngpipe.acquisition.joined import Joined, joined
from ngpipe.acquisition.linear_filter import Signal, whole_stretches
from ngpipe.acquisition.nwb_file import SERIES
from ngpipe.acquisition.observing import observed
from ngpipe.artifacts import sampling
from ngpipe.artifacts.progress import progress, say
from ngpipe.artifacts.sampling import Breaks
from ngpipe.config.assembly.source import Laboratory, Recorded
from ngpipe.errors import RecordingError, StaleError
from ngpipe.schemas import assembly as schemas

Blocks = Iterator[tuple[int, dict[str, Signal]]]
"""Some frames of every variable over time, with the number of the first."""

TRUTH = ("connectivity", "gain", "neuron_type", "phi", "psi")
"""What a store with the truth may hold."""


def run(source: Recorded | Laboratory, directory: Path, *, key: str) -> None:
    """Read a recording, check it, and write it as the store that training reads.

    Args:
        source: the section `source` of the config.
        directory: gets ``simulation.zarr``; holds what the stage `record` wrote, if it did.
        key: chain key.

    Raises:
        RecordingError: the files do not say what is needed, or hold nothing to learn from.
        StaleError: a file changed while it was read.
    """
    if isinstance(source, Laboratory):
        source = _written_by_record(source, directory)
    path = directory / "simulation.zarr"
    notes: dict[str, object] = {}
    provenance = store.Provenance("import", key, source.model_dump(), notes=notes)
    with _sessions(source) as recording:
        subject = refusals.subject(recording)
        refusals.check_shape(subject)
        dataset = _dataset(recording, source)
        files = Path(", ".join(source.files))
        breaks, spread = sampling.breaks(dataset, files), sampling.spread(dataset, files)
        _tell(recording, spread, notes)
        if spread is not None:
            dataset.attrs["interval_spread"] = list(spread)
        if source.inputs:
            dataset = _with_inputs(dataset, recording, source, notes)
        blocks: Blocks = _as_recorded(recording)
        if source.observation is not None:
            dataset, blocks = _observed(dataset, recording, source, breaks, notes)
        tally = refusals.Tally(len(recording.labels))
        with (
            progress(recording.n_frames, "import", unit="frame") as bar,
            store.writing(dataset, path, schemas.SIMULATION, provenance) as out,
        ):
            for start, block in blocks:
                for variable, values in block.items():
                    out.put(variable, start, values)
                tally.add(block["activity"])
                bar.update(len(block["activity"]))
            refusals.check_values(tally, subject)


def _written_by_record(source: Laboratory, directory: Path) -> Recorded:
    """The recording that the stage `record` wrote."""
    files = sorted(str(path) for path in (directory / "recorded").glob("*.nwb"))
    shared = {name: getattr(source, name) for name in Laboratory.model_fields}
    del shared["kind"], shared["recorded_as"]
    truth = str(directory / "truth.zarr")
    return Recorded(files=tuple(files), series=SERIES, truth=truth, **shared)


def _as_recorded(recording: Joined) -> Blocks:
    for start, block in recording.blocks(store.block_length(len(recording.labels))):
        yield start, {"activity": block}


def _observed(
    dataset: xr.Dataset,
    recording: Joined,
    source: Recorded,
    breaks: Breaks,
    notes: dict[str, object],
) -> tuple[xr.Dataset, Blocks]:
    """The store to be and its blocks, after the signal chain; says what was done."""
    stretches = whole_stretches(np.flatnonzero(breaks).tolist(), recording.n_frames)
    cfg: Any = source.observation  # of a source that has one
    found = observed(recording, cfg, stretches, measured=source.intervals == "measured")
    shape, long = dataset["activity"].shape, ("time", "neuron")
    dataset["recorded"] = dataset["activity"]
    units = dataset["recorded"].attrs["units"]
    units = "z-score" if cfg.zscore else "dF/F" if cfg.baseline is not None else units
    told = {"units": units, "observation": "; ".join(found.steps)}
    dataset["activity"] = (long, store.empty(*shape), told)
    if cfg.noise != "none":
        dataset["activity_noise"] = ("neuron", found.state_noise.astype(np.float32))
    if found.has_rate:
        reach = list(found.reach)
        dataset["rate"] = (long, store.empty(*shape), {"reach": reach})
        if cfg.noise != "none":
            dataset["rate_noise"] = ("neuron", found.rate_noise.astype(np.float32))
    for text in found.steps:
        say(text)
    notes["observation"] = list(found.steps)
    return dataset, found.blocks(store.block_length(len(recording.labels)))


@contextmanager
def _sessions(source: Recorded) -> Iterator[Joined]:
    """The files, open; refused at the end if one changed meanwhile."""
    files = [Path(file) for file in source.files]
    watched = [*files, *map(Path, source.input_files)]
    before = [_state(file) for file in watched]
    with ExitStack() as stack:
        yield joined([stack.enter_context(table.opened(f, source)) for f in files], source)
        for file, then in zip(watched, before, strict=True):
            if _state(file) != then:
                raise StaleError(
                    f"{file} changed while it was read, so what was read may be of two versions; "
                    "run the command again when nothing writes to it"
                )


def _state(path: Path) -> list[tuple[str, int, int]]:
    """Size and time of change of a file, or of all files of a directory."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files]


def _dataset(recording: Joined, source: Recorded) -> xr.Dataset:
    """The store to be, without its activity."""
    n, frames = len(recording.labels), recording.n_frames
    units = source.units or recording.sessions[0].units
    if units is None:
        raise RecordingError(
            f"{recording.sessions[0].path} does not say the unit of its activity; set "
            "source.units, such as dF/F, mV or 1"
        )
    coords: dict[str, object] = {"time": recording.time}
    if recording.segment is not None:
        coords["segment"] = ("time", recording.segment)
    if len(recording.sessions) > 1:
        coords["session"] = ("time", recording.session)
    if recording.named:
        coords["neuron"] = np.array(recording.labels, dtype=str)
    found = xr.Dataset(
        {"activity": (("time", "neuron"), store.empty(frames, n), {"units": units})},
        coords=coords,
        attrs={
            "dt": recording.dt,
            "intervals": source.intervals,
            "jitter": source.off,
            "rate_hz": recording.rate,
            "tau_seconds": recording.tau,
        },
    )
    if recording.position is not None:
        found["position"] = (("neuron", "axis"), recording.position.astype(np.float32))
    return found if source.truth is None else found.merge(_truth(Path(source.truth), recording))


def _with_inputs(
    dataset: xr.Dataset, recording: Joined, source: Recorded, notes: dict[str, object]
) -> xr.Dataset:
    """The store to be, with stimuli and behaviour; says how they were sampled."""
    found = recorded_inputs.sampled(source.inputs, recording)
    for text in found.notes:
        say(text)
    notes["inputs"] = list(found.notes)
    coords = {
        "input": np.array(found.names, dtype=str),
        "input_units": ("input", np.array(found.units, dtype=str)),
    }
    values = (("time", "input"), found.values.astype(np.float32))
    return dataset.assign(inputs=values).assign_coords(coords)


def _truth(path: Path, recording: Joined) -> xr.Dataset:
    """The truth of the neurons that were recorded, in their order.

    Raises:
        RecordingError: the store does not know all of them.
    """
    stored = store.read(path, {})
    names = [name for name in TRUTH if name in stored.variables]
    if "connectivity" not in names:
        raise RecordingError(f"source.truth: {path} holds no `connectivity`; name another store")
    known = stored.coords.get("neuron")
    labels = list(range(stored.sizes["post"])) if known is None else known.values.tolist()
    index = {str(label): k for k, label in enumerate(labels)}
    absent = [label for label in recording.labels if str(label) not in index]
    if absent:
        raise RecordingError(
            f"source.truth: {path} does not know {len(absent)} of the {len(recording.labels)} "
            f"recorded neurons, the first is {absent[0]!r}; give both the same labels"
        )
    order = [index[str(label)] for label in recording.labels]
    along = {dim: order for dim in ("post", "pre", "neuron") if dim in stored.dims}
    return stored[names].isel(along).drop_vars(["neuron", "post", "pre"], errors="ignore").load()


def _tell(
    recording: Joined, spread: tuple[float, float, float] | None, notes: dict[str, object]
) -> None:
    """Say what was read, on the screen and in the manifest."""
    told = [
        f"{series.path}: {series.n_frames:,} frames of {len(columns)} neurons at "
        f"{recording.rate:.4g} Hz"
        for series, columns in zip(recording.sessions, recording.columns, strict=True)
    ]
    if spread is not None:
        least, usual, most = (recording.tau * one for one in spread)
        told.append(
            f"intervals as measured: {least:.4g} to {most:.4g} s between frames of a stretch, "
            f"{usual:.4g} s typically; each difference is taken over its own"
        )
    told += [f"{s.path}: {note}" for s in recording.sessions for note in s.notes]
    for text in told:
        say(text)
    notes["recording"] = told
