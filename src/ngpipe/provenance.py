"""Versions and memory of a process, for the manifests of its results."""

import os
import platform
import resource
import sys
from importlib import metadata
from pathlib import Path

_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Where a system says how much memory a group of processes may use, in either version."""


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


def available_memory_mb() -> int:
    """Memory that this process may use at most [MB]: of the machine, its limits, its Slurm job."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    limits += [n for n in resource.getrlimit(resource.RLIMIT_AS)[:1] if n != resource.RLIM_INFINITY]
    for path in _LIMITS:
        text = path.read_text().strip() if path.is_file() else ""
        limits += [int(text)] if text.isdigit() else []
    if (of_job := os.environ.get("SLURM_MEM_PER_NODE", "")).isdigit():
        limits.append(int(of_job) * 10**6)
    return min(limits) // 10**6
