"""Versions and memory of a process, for the manifests of its results."""

import platform
import resource
import sys
from importlib import metadata


def versions() -> dict[str, str]:
    """Versions of Python, of this package and of the libraries that results depend on."""
    names = ["ngpipe", "torch", "numpy", "scipy", "pandas", "xarray", "zarr", "scikit-learn"]
    return {"python": platform.python_version(), **{n: version_of(n) for n in names}}


def version_of(name: str) -> str:
    """Version of an installed package; words if there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # run from source, as in Snakemake's conda environments
        return "not installed"


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far [MB]."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
