"""The steps of a training that several jobs share, and what they hand on."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from ngpipe import hashing, store
from ngpipe.artifacts import parameter_file, recordings
from ngpipe.artifacts.training_parts import Parts
from ngpipe.config.assembly.simulation import Simulation
from ngpipe.config.assembly.training import Training
from ngpipe.errors import ArgumentError, StaleError, StoreError
from ngpipe.steps import factor, gram, psi, simulate, solve_rows, train

pytestmark = pytest.mark.slow

CPU = {"device": torch.device("cpu")}
CLOSED_FORM = {"psi_basis": 16, "phi_basis": 8, "fine_basis": 16, "ridges": (1e-4, 1e-8)}
N = 100
"""Three units of rows."""


def training(jobs: int = 1, **changes: object) -> Training:
    settings = {**CLOSED_FORM, "distil_steps": 60, "jobs": jobs, **changes}
    return Training(solver="closed_form", held_out=0.1, closed_form=settings)


@pytest.fixture(scope="module")
def simulation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("simulated")
    types = [{"leak": 1}, {"leak": 2}]
    cfg = Simulation(n_neurons=N, n_frames=2500, burn_in=50, noise=0.5, types=types)
    simulate.run(cfg, directory, key="simulate", **CPU)
    return directory / "simulation.zarr"


def solved(directory: Path, cfg: Training, jobs: int) -> None:
    """All parts of a training."""
    psi.run(cfg, directory, key="psi", **CPU)
    for job in range(1, jobs + 1):
        gram.run(cfg, directory, key="gram", job=job, jobs=jobs, **CPU)
    factor.run(cfg, directory, key="factor", jobs=jobs, **CPU)
    for job in range(1, jobs + 1):
        solve_rows.run(cfg, directory, key="rows", job=job, jobs=jobs, **CPU)


@pytest.fixture(scope="module")
def trained(simulation: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """A directory in which so many jobs have trained: once for all tests, which only read it."""

    @cache
    def run(jobs: int) -> Path:
        directory = tmp_path_factory.mktemp(f"jobs{jobs}")
        (directory / "simulation.zarr").symlink_to(simulation)
        cfg = training(jobs)
        if jobs > 1:
            solved(directory, cfg, jobs)
        shared = None if jobs == 1 else jobs
        options = {"key": "train", "checkpoints": directory / "checkpoints", "jobs": shared}
        train.run(cfg, directory, **options, **CPU)
        return directory

    return run


def files(directory: Path) -> list[str]:
    model, history = directory / "model.safetensors", directory / "training.zarr"
    return [hashing.file_digest(model), hashing.tree_digest(history)]


def test_results_do_not_depend_on_the_number_of_jobs(trained):
    assert files(trained(2)) == files(trained(5))


def test_results_are_those_of_one_job(trained):
    (_, one), (_, two) = (
        parameter_file.read(trained(jobs) / "model.safetensors", "model", "train")
        for jobs in (1, 2)
    )
    spread = float(one["V"].square().mean().sqrt())
    assert float((one["V"] - two["V"]).abs().max()) < 1e-6 * spread  # float32
    tables = [store.read_csv(trained(jobs) / "training.csv") for jobs in (1, 2)]
    assert tables[0].columns.tolist() == tables[1].columns.tolist()
    one, two = (table.drop(columns="seconds") for table in tables)
    assert one["stage"].tolist() == two["stage"].tolist()
    numbers = one.select_dtypes("number").columns
    assert np.allclose(one[numbers], two[numbers], rtol=1e-4, atol=1e-9, equal_nan=True)
    stored = [store.opening.opened(trained(jobs) / "training.zarr") for jobs in (1, 2)]
    assert stored[0]["step"].values.tolist() == stored[1]["step"].values.tolist()
    assert stored[0].attrs.keys() == stored[1].attrs.keys()


def test_the_seconds_go_on_where_the_search_ended(trained):
    assert (np.diff(store.read_csv(trained(2) / "training.csv")["seconds"]) >= 0).all()


def test_every_part_has_a_manifest_of_its_own(trained):
    parts = trained(2) / "parts"
    manifests = store.read_manifests(parts)
    assert set(manifests) == {
        *("psi", "factor", "gram_1_of_2", "gram_2_of_2", "solve_rows_1_of_2", "solve_rows_2_of_2")
    }
    for stem, manifest in manifests.items():
        assert manifest["digest"] == hashing.file_digest(parts / f"{stem}.safetensors")
        assert "jobs" not in manifest["config"]["closed_form"]


@pytest.fixture
def run_again(simulation: Path, trained: Callable[[int], Path], tmp_path: Path) -> Path:
    """The parts of two jobs in a directory of one's own."""
    for name in ("simulation.zarr", "simulation.json"):
        (tmp_path / name).symlink_to(simulation.with_name(name))
    (tmp_path / "parts").mkdir()
    for path in (trained(2) / "parts").iterdir():
        (tmp_path / "parts" / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_rows_of_an_earlier_search_are_refused(run_again):
    psi.run(training(2), run_again, key="another", **CPU)
    with pytest.raises(StaleError, match=r"factor\.safetensors was not made from .*psi"):
        solve_rows.run(training(2), run_again, key="rows", job=1, jobs=2, **CPU)
    with pytest.raises(StaleError, match=r"gram_1_of_2\.safetensors was not made from .*psi"):
        factor.run(training(2), run_again, key="factor", jobs=2, **CPU)


def test_parts_of_another_recording_are_refused(run_again):
    (run_again / "simulation.zarr").unlink()
    (run_again / "simulation.json").unlink()
    cfg = Simulation(n_neurons=N, n_frames=2500, burn_in=50, noise=0.5, seed=9)
    simulate.run(cfg, run_again, key="simulate", **CPU)
    with pytest.raises(StaleError, match=r"psi\.safetensors is of another recording than"):
        train.run(training(2), run_again, key="train", jobs=2, **CPU)


def test_a_part_that_is_missing_is_named(run_again):
    (run_again / "parts" / "solve_rows_2_of_2.safetensors").unlink()
    opened = recordings.opened(run_again / "simulation.zarr", training(2), CPU["device"])
    parts = Parts(run_again, training(2), CPU["device"], 2)
    with pytest.raises(StoreError, match=r"no part `solve_rows` at .*solve_rows_2_of_2"):
        parts.solution(opened.recording, lambda stage, **reached: None)


def test_a_job_beyond_the_last_is_refused(simulation):
    with pytest.raises(ArgumentError, match="--job 3 --jobs 2: jobs are numbered from 1 to 2"):
        gram.run(training(2), simulation.parent, key="gram", job=3, jobs=2, **CPU)
