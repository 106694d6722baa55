"""Real connectomes, where they are at hand: never part of the project."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("NGPIPE_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture
def real():
    """real(folder) -> a folder of real connectomes; skips where it is absent."""

    def folder(name: str) -> Path:
        path = DATA / "connectomes" / name
        if not path.is_dir():
            pytest.skip(f"no {path}; set NGPIPE_DATA to the folder that holds connectomes/{name}")
        return path

    return folder


@pytest.fixture
def microns():
    """Folder of the tables of MICrONS; skips where it is absent."""
    path = DATA / "microns"
    if not path.is_dir():
        pytest.skip(f"no {path}; set NGPIPE_DATA to the folder that holds microns")
    return path
