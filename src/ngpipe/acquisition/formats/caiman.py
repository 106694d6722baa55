"""Results of CaImAn in HDF5: traces of components, those accepted alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ngpipe.acquisition.formats import hdf_files
from ngpipe.acquisition.formats.contents import Candidate, Contents
from ngpipe.errors import RecordingError

TRACES = {
    "F_dff": ("dF/F", "detrended fluorescence over its baseline"),
    "C": ("a.u.", "denoised traces, which are smooth by the model of CaImAn"),
    "S": ("a.u.", "deconvolved activity"),
    "YrA": ("a.u.", "residuals, not activity: add them to C for raw traces"),
}
"""Arrays (component, frame) of ``/estimates``: their unit, and what they are."""


def is_caiman(file: Any) -> bool:  # noqa: ANN401
    """True of an open HDF5 file that CaImAn wrote."""
    return "estimates" in file and "C" in file["estimates"] and "A" in file["estimates"]


@contextmanager
def reads(path: Path) -> Iterator[Contents]:
    """Traces by their names in ``estimates``, with centres of the components as positions."""
    with hdf_files.opened(path) as file:
        estimates = file["estimates"]
        held = [name for name in TRACES if _array(estimates, name, 2) is not None]
        yield Contents(
            path,
            {n: partial(_candidate, path, file, n) for n in held},  # type: ignore[misc]
        )


def _candidate(path: Path, file: Any, name: str) -> Candidate:  # noqa: ANN401
    estimates = file["estimates"]
    dataset, units = estimates[name], TRACES[name][0]
    n = dataset.shape[0]
    accepted = _array(estimates, "idx_components", 1)
    if accepted is None:
        keep, note = np.arange(n), f"CaImAn did not evaluate the {n} components: all are used"
    else:
        keep = np.sort(accepted.astype(int))
        note = f"{len(keep)} of {n} components are accepted (idx_components); others are left out"
    if len(keep) == 0 or keep[-1] >= n:
        raise RecordingError(
            f"{path}: estimates/idx_components accepts {len(keep)} components up to "
            f"{keep[-1] if len(keep) else 'none'}, and '{name}' has {n}; evaluate them in "
            "CaImAn and save again"
        )
    rate = _array(file, "params/data/fr", 0)
    return Candidate(
        name,
        hdf_files.chunked(dataset),
        1,
        keep=keep,
        units=units,
        rate=None if rate is None else float(rate),
        labels=tuple(f"C{k}" for k in keep),
        numbered=True,
        positions=_centres(file, keep),
        notes=(f"{name}: {TRACES[name][1]}", note),
    )


def _array(group: Any, name: str, ndim: int) -> np.ndarray | Any | None:  # noqa: ANN401
    """A dataset of numbers; None if it is absent, or the text that CaImAn writes for None."""
    if name not in group:
        return None
    found = group[name]
    if not hasattr(found, "dtype") or found.dtype.kind not in "biuf" or found.ndim != ndim:
        return None
    return found if ndim == 2 else found[()]


def _centres(file: Any, keep: np.ndarray) -> np.ndarray | None:  # noqa: ANN401
    """Centre of mass of each component [pixel], as (row, column).

    ``A`` is a sparse matrix (pixel, component) in CSC; pixels are numbered down the columns of the
    image, whose size may stand beside ``estimates`` alone.
    """
    parts = file["estimates/A"]
    dims = _array(file, "estimates/dims", 1)
    dims = _array(file, "dims", 1) if dims is None else dims
    if dims is None or not {"data", "indices", "indptr"} <= set(parts):
        return None
    weights, pixels, ends = (parts[name][()] for name in ("data", "indices", "indptr"))
    places = np.stack(np.unravel_index(pixels, tuple(map(int, dims)), order="F"), axis=1)
    found = np.full((len(keep), len(dims)), np.nan)
    for row, k in enumerate(keep):
        mine = slice(ends[k], ends[k + 1])
        if weights[mine].sum() > 0:
            found[row] = weights[mine] @ places[mine] / weights[mine].sum()
    return found
