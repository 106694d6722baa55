"""Real connectomes, where they are at hand: never part of the project."""

from pathlib import Path

import pytest


@pytest.fixture
def real(data):
    """real(folder) -> a folder of real connectomes; skips where it is absent."""

    def folder(name: str) -> Path:
        path = data / "connectomes" / name
        if not path.is_dir():
            pytest.skip(f"no {path}; set NGPIPE_DATA to the folder that holds connectomes/{name}")
        return path

    return folder
