"""`ngpipe inspect` of a recording: what is in it, and a section `source` that works as pasted."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml

from ngpipe.acquisition.formats import table
from ngpipe.cli import main
from ngpipe.config.assembly.source import Recorded
from ngpipe.errors import NgpipeWarning
from ngpipe.steps import inspect, recording_lines

LABELS = ["AVAL", "AVAR", "RIM"]


@pytest.fixture
def values(tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    return rng.normal(size=(30, 3)).astype(np.float32)


def shown(path, capsys):
    assert main(["inspect", str(path)]) == 0
    return capsys.readouterr().out


def sections(out):
    """The sections of a config in the output, as YAML has them."""
    lines = out.splitlines()
    starts = [k for k, line in enumerate(lines) if line.strip() == "source:"]
    for start in starts:
        stop = next((k for k in range(start, len(lines)) if not lines[k].strip()), len(lines))
        yield yaml.safe_load("\n".join(line[6:] for line in lines[start:stop]))["source"]


def pasted(source):
    """Values that a config with this section reads."""
    source = Recorded(**source)
    with table.opened(Path(source.files[0]), source) as series:
        return series.block(0, series.n_frames), series


def zarr_store(values):
    coords = {
        "time": ("time", np.arange(30) / 10, {"units": "s"}),
        "neuron": LABELS,
    }
    dataset = xr.Dataset({"dff": (("neuron", "time"), values.T, {"units": "dF/F"})}, coords=coords)
    dataset.to_zarr("a.zarr", zarr_format=2)
    return "a.zarr"


def archive(values):
    np.savez("a.npz", dff=values.T, label=LABELS, t_ms=np.arange(30) * 100.0)
    return "a.npz"


def hdf(values):
    with h5py.File("a.h5", "w") as file:
        file["ophys/dff"] = values.T
        file["ophys/dff"].attrs["units"] = "dF/F"
        file["ophys/cell_name"] = LABELS
        file["ophys/time_s"] = np.arange(30) / 10
    return "a.h5"


def text(values):
    frame = pd.DataFrame(values, columns=LABELS)
    frame.insert(0, "time (s)", np.arange(30) / 10)
    frame.to_csv("a.csv", index=False)
    return "a.csv"


@pytest.mark.quick(1)
@pytest.mark.parametrize("write", [zarr_store, archive, hdf, text])
def test_the_section_works_as_pasted(values, write, capsys):
    out = shown(write(values), capsys)
    (source,) = sections(out)
    assert "30 frames of 3 neurons" in out
    assert "rate: 10 Hz by the times of the frames, 2.9 s in all, no gaps" in out
    assert "labels: AVAL, AVAR, RIM" in out
    missing = {key for key, value in source.items() if value is None}
    assert missing == (set() if write in (zarr_store, hdf) else {"units"})
    found, series = pasted({k: v for k, v in source.items() if v is not None})
    np.testing.assert_allclose(found, values, rtol=1e-6)
    assert series.labels == tuple(LABELS)
    np.testing.assert_allclose(series.times, np.arange(30) / 10)


def test_what_the_file_does_not_say_is_asked_for(values, capsys):
    np.save("a.npy", values)
    out = shown("a.npy", capsys)
    (source,) = sections(out)
    assert "for a config, with axes, rate, units filled in" in out
    assert source == {
        "kind": "recording",
        "files": ["a.npy"],
        "axes": None,
        "rate": None,
        "units": None,
    }
    found, _ = pasted({**source, "axes": "time_neuron", "rate": 3.0, "units": "1"})
    np.testing.assert_array_equal(found, values)


def test_gaps_are_told(values, capsys):
    frame = pd.DataFrame(values, columns=LABELS)
    frame["t"] = np.delete(np.arange(33) / 10, [5, 12, 13])
    frame.to_csv("a.csv", index=False)
    assert "2 gaps, the longest 0.3 s" in shown("a.csv", capsys)


@pytest.mark.slow
def test_every_series_is_shown_also_beside_one_that_cannot_be_used(values, capsys):
    good = xr.Dataset({"dff": (("time", "neuron"), values)})
    bad = xr.DataArray(values.reshape(5, 3, 6), dims=("a", "b", "c"))
    good.assign(cube=bad).to_zarr("a.zarr", zarr_format=2)
    out = shown("a.zarr", capsys)
    assert "2 series" in out
    assert "cannot be used: a.zarr: 'cube' has the dimensions" in out
    (source,) = sections(out)
    assert source["series"] == "dff"


def test_the_picture_is_drawn_but_never_over_somebody_elses(values, capsys):
    name = text(values)
    assert "quick look: a.csv.look.png" in shown(name, capsys)
    shown(name, capsys)
    Path("a.csv.look.png").write_bytes(b"\x89PNG mine")
    with pytest.warns(NgpipeWarning, match=r"look\.png is not from ngpipe; no picture drawn"):
        inspect.run(Path(name))
    assert Path("a.csv.look.png").read_bytes() == b"\x89PNG mine"


def test_a_file_that_cannot_be_read_says_why(values, monkeypatch, capsys):
    hdf(values)
    monkeypatch.setitem(sys.modules, "h5py", None)
    out = shown("a.h5", capsys)
    assert "as a recording it cannot be read: a.h5 is read with h5py, which is not installed" in out


def test_a_trace_is_one_line_with_blanks_for_absent_values():
    line = recording_lines.sparkline(np.array([0.0, np.nan, 1.0]))
    assert line == "▁ █"
    assert len(recording_lines.sparkline(np.arange(1000.0))) == recording_lines.WIDTH
    assert recording_lines.sparkline(np.full(5, np.nan)) == " " * 5
