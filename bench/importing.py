"""Time and memory to import a recording of 1,000 neurons and 100,000 frames, by format and chunks.

    python bench/importing.py            # all
    python bench/importing.py nwb zarr   # some

The target is 10 s and 1 GB, libraries included. The files are made first, in a temporary folder.
"""

import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr

NEURONS, FRAMES, RATE = 1_000, 100_000, 30.0
SEED = 1
TARGET = (10.0, 1000.0)
"""Largest time [s] and memory [MB]."""


def activity() -> np.ndarray:
    """Noise that drifts: as hard to compress as real recordings."""
    rng = np.random.default_rng(SEED)
    values = rng.standard_normal((FRAMES, NEURONS), dtype=np.float32)
    return values + np.sin(np.arange(FRAMES, dtype=np.float32) / 1000)[:, None]


def nwb(path: Path, chunks: tuple[int, int], compression: str | None) -> None:
    """An HDF5 file of pynwb, with a table of ROIs that names them."""
    from datetime import UTC, datetime

    import pynwb
    from hdmf.backends.hdf5 import H5DataIO

    file = pynwb.NWBFile("bench", "1", datetime(2026, 1, 1, tzinfo=UTC))
    device = file.create_device("d")
    channel = pynwb.ophys.OpticalChannel(name="c", description="c", emission_lambda=500.0)
    plane = file.create_imaging_plane(
        name="p",
        optical_channel=channel,
        description="p",
        device=device,
        excitation_lambda=600.0,
        indicator="GCaMP",
        location="x",
    )
    segmentation = pynwb.ophys.ImageSegmentation()
    rois = segmentation.create_plane_segmentation("rois", plane, "rois")
    rois.add_column("label", "name")
    for k in range(NEURONS):
        rois.add_roi(pixel_mask=[(k, k, 1.0)], label=f"N{k}")
    module = file.create_processing_module("ophys", "o")
    module.add(segmentation)
    traces = pynwb.ophys.Fluorescence()
    module.add(traces)
    traces.create_roi_response_series(
        name="roi",
        data=H5DataIO(activity(), chunks=chunks, compression=compression),
        rois=rois.create_roi_table_region("all", region=list(range(NEURONS))),
        unit="dF/F",
        rate=RATE,
    )
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(file)


def zarr(path: Path, chunks: tuple[int, int], zarr_format: int) -> None:
    """A store of xarray."""
    coords = {"time": ("time", np.arange(FRAMES) / RATE, {"units": "s"})}
    data = {"dff": (("time", "neuron"), activity(), {"units": "dF/F"})}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        xr.Dataset(data, coords).to_zarr(
            path, zarr_format=zarr_format, encoding={"dff": {"chunks": chunks}}, consolidated=False
        )


CASES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "nwb": ("a.nwb", lambda path: nwb(path, (4096, 32), "gzip")),
    "nwb, a chunk a neuron": ("b.nwb", lambda path: nwb(path, (FRAMES, 1), None)),
    "zarr": ("a.zarr", lambda path: zarr(path, (4096, NEURONS), 2)),
    "zarr, a chunk a neuron": ("b.zarr", lambda path: zarr(path, (FRAMES, 1), 2)),
    "zarr 3": ("c.zarr", lambda path: zarr(path, (10_000, 100), 3)),
}
"""Name of the file and its writer, by case."""


def imported(file: Path) -> None:
    """Import a file in this process; prints seconds and peak memory [MB]."""
    start = time.perf_counter()
    from ngpipe.config.assembly.source import Recorded
    from ngpipe.steps import import_

    import_.run(Recorded(kind="recording", files=(str(file),)), file.parent / "run", key="0" * 64)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"{time.perf_counter() - start:.2f} {peak:.0f}")


def main(names: list[str]) -> None:
    """Make the files of the cases whose names begin so, and import each in a process of its own."""
    wanted = {n: c for n, c in CASES.items() if not names or n in names}
    print(f"{'case':<24} {'seconds':>8} {'MB':>6}   target: {TARGET[0]:g} s, {TARGET[1]:g} MB")
    with tempfile.TemporaryDirectory() as folder:
        for name, (file, write) in wanted.items():
            path = Path(folder) / name.replace(", ", "_").replace(" ", "_") / file
            path.parent.mkdir()
            write(path)
            command = [sys.executable, __file__, "--import", str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds, peak = done.stdout.split()
            print(f"{name:<24} {seconds:>8} {peak:>6}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--import"]:
        imported(Path(sys.argv[2]))
    else:
        main(sys.argv[1:])
