"""The formats of recordings, and the module that reads each."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ngpipe.acquisition.formats import (
    caiman,
    contents,
    frame_tables,
    hdf_files,
    matlab_files,
    neo_files,
    numpy_files,
    nwb_hdf,
    nwb_zarr,
    suite2p,
    xarray_files,
)
from ngpipe.acquisition.formats.contents import Contents
from ngpipe.acquisition.series import Series
from ngpipe.config.assembly.source import Recorded
from ngpipe.errors import RecordingError
from ngpipe.opening import kind_of_file

SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "numpy": (".npy", ".npz"),
    "MATLAB": (".mat",),
    "HDF5": (".h5", ".hdf5", ".hdf", ".nwb"),
    "netCDF": (".nc", ".nc4", ".netcdf", ".cdf"),
    "zarr": (".zarr",),
    "table": (".csv", ".tsv", ".txt", ".parquet", ".feather", ".xlsx"),
    "Neo": (".nix",),
}
"""Suffixes of files, by format."""


@dataclass(frozen=True)
class Format:
    """A format of recordings."""

    fits: Callable[[Path], bool]
    """True of a file or directory of this format."""
    reads: Callable[[Path], AbstractContextManager[Contents]]


def _suffix(name: str) -> Callable[[Path], bool]:
    return lambda path: any(s.lower() in SUFFIXES[name] for s in path.suffixes[-2:])


def _is_zarr(path: Path) -> bool:
    marks = (".zgroup", ".zarray", "zarr.json")
    return path.suffix == ".zarr" or any((path / mark).exists() for mark in marks)


@contextmanager
def _hdf(path: Path) -> Iterator[Contents]:
    """NWB, CaImAn, or HDF5 without a convention: the file says which."""
    with hdf_files.opened(path) as file:
        nwb, known = "nwb_version" in file.attrs, caiman.is_caiman(file)
    reader = nwb_hdf.reads if nwb else caiman.reads if known else hdf_files.reads
    with reader(path) as found:
        yield found


FORMATS: Mapping[str, Format] = {
    "suite2p": Format(suite2p.fits, suite2p.reads),
    "NWB in zarr": Format(nwb_zarr.fits, nwb_zarr.reads),
    "zarr": Format(_is_zarr, xarray_files.zarr_store),
    "NWB, CaImAn or HDF5": Format(_suffix("HDF5"), _hdf),
    "MATLAB": Format(_suffix("MATLAB"), matlab_files.reads),
    "netCDF": Format(_suffix("netCDF"), xarray_files.netcdf),
    "numpy": Format(_suffix("numpy"), numpy_files.reads),
    "NIX": Format(_suffix("Neo"), neo_files.reads),
    "table": Format(_suffix("table"), frame_tables.reads),
}
"""Formats by name; the first that fits a file reads it."""


def name_of(path: Path) -> str:
    """Name of the format of a file or directory.

    Raises:
        RecordingError: it is absent, or none fits.
    """
    if not path.exists():
        raise RecordingError(f"there is no file {path.absolute()}; correct source.files")
    for name, one in FORMATS.items():
        if one.fits(path):
            return name
    what = "a directory" if path.is_dir() else kind_of_file(path)
    raise RecordingError(
        f"{path} is {what}, and of no format that is read as a recording, which are "
        f"{', '.join(FORMATS)}; convert it, for example to .npy with numpy.save"
    )


def reads(path: Path) -> AbstractContextManager[Contents]:
    """All that a file holds."""
    return FORMATS[name_of(path)].reads(path)


@contextmanager
def opened(path: Path, source: Recorded) -> Iterator[Series]:
    """The activity in a file, as the config describes it, while the file is open.

    Raises:
        RecordingError: the file, or what the config says of it, is not enough to read it.
    """
    with reads(path) as found:
        yield contents.described(found, source)
