"""Fixtures of all tests.

Nothing of ngpipe is imported up here: its types are to be checked. Nor is torch, as this is also
read by the process that only hands tests to others.
"""

import gc
import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is loaded; subprocesses inherit it

from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import quick_cases
import type_checks
import yaml
from hypothesis import settings

if TYPE_CHECKING:
    import torch

type_checks.install()
gc.disable()  # until all tests are collected
metadata.version = cache(metadata.version)  # every manifest names nine
settings.register_profile("ngpipe", deadline=None, derandomize=True)  # no clock decides a test
settings.register_profile("quick", settings.get_profile("ngpipe"), max_examples=5)
settings.load_profile("ngpipe")  # of make quick: the other


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave few cases of costly tests to `make quick`, and none that needs published data."""
    quick_cases.mark_others_slow(items)
    for item in items:
        if item.get_closest_marker("data") or "data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


def pytest_runtest_logstart() -> None:
    """Check types in every test."""
    type_checks.begin_test()


def pytest_collection_finish() -> None:
    """Leave what is loaded by now, millions of objects, out of every later garbage collection.

    These are few: of a test little is left over, and to look for it took a twentieth of the time.
    """
    gc.freeze()
    gc.set_threshold(100_000)
    gc.enable()


@pytest.fixture
def rng() -> np.random.Generator:
    """Source of random arrays, the same in every run."""
    return np.random.default_rng(20_260_214)


@pytest.fixture
def generator() -> "torch.Generator":
    """Source of random tensors, the same in every run."""
    import torch

    return torch.Generator().manual_seed(20_260_214)


@pytest.fixture(scope="session")
def data() -> Path:
    """Where published data may be at hand: beside the project, never part of it."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    return Path(os.environ.get("NGPIPE_DATA", beside))


@pytest.fixture(scope="session")
def microns(data: Path) -> Path:
    """Folder of the tables of MICrONS; skips where it is absent."""
    path = data / "microns"
    if not path.is_dir():
        pytest.skip(f"no {path}; set NGPIPE_DATA to the folder that holds microns")
    return path


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write the config of a study into a fresh working directory: study(figures, **experiments).

    The directory written is returned; calling again overwrites it.
    """
    monkeypatch.chdir(tmp_path)

    def write(figures: dict, **experiments: dict) -> Path:
        directory = tmp_path / "config"
        (directory / "experiments").mkdir(parents=True, exist_ok=True)
        (directory / "config.yaml").write_text(yaml.safe_dump({"figures": figures}))
        for name, content in experiments.items():
            path = directory / "experiments" / f"{name}.yaml"
            path.write_text(yaml.safe_dump(content))
        return directory

    return write
