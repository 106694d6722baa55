"""Time and memory to import a recording of 1,000 neurons and 100,000 frames, by format and chunks.

    python bench/importing.py            # all
    python bench/importing.py nwb zarr   # some

The target is 10 s and 1 GB, libraries included. The files are made first, in a temporary folder.
"""

import shutil
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
    """Import a file in this process; prints seconds, those of all cores, and peak memory [MB]."""
    start = time.perf_counter()
    from ngpipe.config.assembly.source import Recorded
    from ngpipe.steps import import_

    import_.run(Recorded(kind="recording", files=(str(file),)), file.parent / "run", key="0" * 64)
    print(f"{time.perf_counter() - start:.2f} {time.process_time():.2f} {peak_memory():.0f}")


def peak_memory() -> float:
    """Largest resident memory of this process [MB].

    That of getrusage begins with the memory of the process which started this one.
    """
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 2**10


def main(names: list[str]) -> None:
    """Make the file of each case, and import it; each in a process of its own."""
    print(f"{'case':<24} {'wall s':>8} {'CPU s':>8} {'MB':>6}   {FRAMES:,} x {NEURONS:,}")
    print(f"{'target':<24} {TARGET[0]:>8g} {'':>8} {TARGET[1]:>6g}")
    with tempfile.TemporaryDirectory() as folder:
        for name in names or CASES:
            path = Path(folder) / name.replace(", ", "_").replace(" ", "_") / CASES[name][0]
            path.parent.mkdir()
            again = [sys.executable, __file__]
            subprocess.run([*again, "--write", name, str(path)], check=True)
            done = subprocess.run(
                [*again, "--import", str(path)], capture_output=True, text=True, check=True
            )
            print("{:<24} {:>8} {:>8} {:>6}".format(name, *done.stdout.split()), flush=True)
            shutil.rmtree(path.parent)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--import", file]:
            imported(Path(file))
        case ["--write", name, file]:
            CASES[name][1](Path(file))
        case names:
            main(names)
