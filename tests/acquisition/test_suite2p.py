"""Folders of suite2p: cells alone, neuropil as stated, and no pickle is run."""

import numpy as np
import pytest
from reading import names, read

from ngpipe.errors import RecordingError


class Trap:
    """Leaves a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.fixture
def folder(tmp_path, rng):
    """As suite2p 1.1.0 writes it: 5 ROIs, of which 1, 2 and 4 are cells."""
    plane = tmp_path / "suite2p" / "plane0"
    plane.mkdir(parents=True)
    for name in ("F", "Fneu", "spks"):
        np.save(plane / f"{name}.npy", rng.random((5, 30)).astype(np.float32))
    iscell = np.array([[0, 0.1], [1, 0.9], [1, 0.8], [0, 0.4], [1, 0.7]])
    np.save(plane / "iscell.npy", iscell)
    return plane


def options(plane, name="ops.npy", **content):
    np.save(plane / name, np.array(content, dtype=object), allow_pickle=True)


@pytest.mark.parametrize("inner", [True, False])
def test_cells_alone_are_read(folder, inner):
    found = read(folder if inner else folder.parent, series="spks")
    spks = np.load(folder / "spks.npy")
    np.testing.assert_array_equal(found.values, spks[[1, 2, 4]].T)
    assert found.labels == ("ROI1", "ROI2", "ROI4")
    assert any("3 of 5 ROIs are cells" in note for note in found.notes)


@pytest.mark.parametrize(("series", "factor"), [("F - 0.7 Fneu", 0.7), ("F-0.5*Fneu", 0.5)])
def test_neuropil_is_subtracted_as_named(folder, series, factor):
    found = read(folder, series=series)
    meant = np.load(folder / "F.npy") - np.float32(factor) * np.load(folder / "Fneu.npy")
    np.testing.assert_allclose(found.values, meant[[1, 2, 4]].T)
    assert any(f"{factor} times the neuropil is subtracted" in note for note in found.notes)


def test_raw_fluorescence_says_that_nothing_is_subtracted(folder):
    found = read(folder, series="F")
    np.testing.assert_array_equal(found.values, np.load(folder / "F.npy")[[1, 2, 4]].T)
    assert any("no neuropil is subtracted" in note for note in found.notes)
    assert sorted(names(folder)) == ["F", "F - 0.7 Fneu", "spks"]


@pytest.mark.parametrize(
    ("content", "rate"),
    [
        ({"fs": 7.5, "meanImg": np.ones((40, 40)), "tau": 1.0}, 7.5),
        ({"settings": {"tau": 1.0, "fs": 30}, "fs": 30.0}, 30.0),
        ({"settings": {"fs": 30.0}, "fs": 15.0}, None),
        ({"tau": 1.0}, None),
        ({"fs": None, "tau": 3.0}, None),
        ({"fs": np.float64(3.0)}, None),
    ],
)
def test_the_rate_is_read_from_the_pickle_without_running_it(folder, tmp_path, content, rate):
    trap = tmp_path / "sprung"
    options(folder, **content, trap=Trap(trap))
    found = read(folder, series="F")
    assert found.rate == rate
    assert (rate is None) == any("without running a pickle" in note for note in found.notes)
    assert not trap.exists()


def test_several_planes_are_not_mixed(folder):
    other = folder.parent / "plane1"
    other.mkdir()
    for file in folder.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    with pytest.raises(RecordingError, match=r"planes.*plane0.*plane1.*not combined"):
        read(folder.parent, series="F")
    other.rename(folder.parent / "combined")
    assert read(folder.parent, series="F").values.shape == (30, 3)


def remove(folder):
    (folder / "iscell.npy").unlink()


def none_is_a_cell(folder):
    np.save(folder / "iscell.npy", np.zeros((5, 2)))


def shorter(folder):
    np.save(folder / "iscell.npy", np.ones((4, 2)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (remove, "has no iscell.npy"),
        (none_is_a_cell, "calls none of the 5 ROIs a cell"),
        (shorter, "F has 5 ROIs, but iscell.npy 4"),
    ],
)
def test_a_folder_without_its_cells_is_refused(folder, change, words):
    change(folder)
    with pytest.raises(RecordingError, match=words):
        read(folder, series="F")


@pytest.mark.parametrize("number", [int, float, np.float64, np.int64, np.float32])
def test_positions_are_the_centres_of_stat(folder, number):
    centres = [[number(3 * k + 2), number(100 + k)] for k in range(5)]
    stat = [
        {
            "ypix": np.arange(k + 3, dtype=np.int32),
            "lam": np.ones(k + 3, np.float32),
            "med": c,
            "n": 7,
        }
        for k, c in enumerate(centres)
    ]
    np.save(folder / "stat.npy", np.array(stat, dtype=object), allow_pickle=True)
    found = read(folder, series="F").positions
    np.testing.assert_array_equal(found, [[101, 5], [102, 8], [104, 14]])


def test_no_pickle_of_stat_is_run(folder, tmp_path):
    stat = [{"med": [1.0, 2.0], "trap": Trap(tmp_path / "sprung")} for _ in range(5)]
    np.save(folder / "stat.npy", np.array(stat, dtype=object), allow_pickle=True)
    assert read(folder, series="F").positions.tolist() == [[2.0, 1.0]] * 3
    assert not (tmp_path / "sprung").exists()


def test_centres_that_cannot_be_read_are_left_out(folder):
    np.save(
        folder / "stat.npy", np.array([{"med": [1.0, 2.0]}] * 4, dtype=object), allow_pickle=True
    )
    assert read(folder, series="F").positions is None
