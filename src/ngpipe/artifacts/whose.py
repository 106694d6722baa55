"""Origin of a recording: written by a stage, or the user's own. Its content decides.

Imports no torch: what draws and verifies asks here as well.
"""

import hashlib
from dataclasses import replace
from pathlib import Path

import xarray as xr

from ngpipe import hashing, ownership, store
from ngpipe.artifacts import survey
from ngpipe.config.assembly.experiment import Experiment
from ngpipe.config.systems import AnyExperiment
from ngpipe.errors import StoreError
from ngpipe.schemas import assembly as schemas
from ngpipe.study import stages
from ngpipe.study.stages import Foreign, Study


def foreign(
    directory: Path, experiment: AnyExperiment, *, simulated: bool = False
) -> Foreign | None:
    """Digests of the recording in a directory; None if a stage wrote it for this config.

    Args:
        directory: of the results of the experiment.
        experiment: its config.
        simulated: whether one that a stage wrote for an earlier config or source will do, as
            Snakemake may have been told to regard one as up to date.

    Raises:
        StoreError: the recording is not of the size that the config says.
    """
    path = directory / "simulation.zarr"
    if not isinstance(experiment, Experiment) or not path.is_dir():
        return None
    written = ownership.written_under(path)
    if written is not None and (
        simulated or written == stages.key_of(experiment, stages.first_of(experiment))
    ):
        return None
    dataset = store.read(path, schemas.SIMULATION)
    check_size(dataset, experiment, path)
    identity = survey.identified(dataset, survey.seen(experiment.training))
    seen = hashlib.sha256(survey.text(identity).encode()).hexdigest()
    return Foreign(seen, hashing.file_digest(path))


def with_recordings(study: Study, runs: Path, experiments: list[str]) -> Study:
    """The same study, its keys those of the recordings that its experiments really have."""
    found = {}
    for name in experiments:
        recording = foreign(runs / name, study.experiments[name], simulated=True)
        if recording is not None:
            found[name] = recording
    return replace(study, recordings=found)


def check_size(dataset: xr.Dataset, experiment: Experiment, path: Path) -> None:
    """Compare the size of a recording with the config, which other sections are checked against.

    Raises:
        StoreError: naming both sizes.
    """
    if experiment.source.kind != "simulated":
        return
    cfg, (n_frames, n_neurons) = experiment.simulation, dataset["activity"].shape
    if (n_neurons, n_frames) != (cfg.n_neurons, cfg.n_frames):
        raise StoreError(
            f"{path} holds {n_neurons} neurons and {n_frames} frames, but the config says "
            f"simulation.n_neurons: {cfg.n_neurons} and n_frames: {cfg.n_frames}; of a recording "
            "of your own write its size into the config, else run the step `simulate` again"
        )
