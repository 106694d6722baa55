"""Measured responses of neurons to the stimulation of others, [responding, stimulated].

A pair that was not measured is NaN, never 0. Names are those of the connectome: see
:func:`ngpipe.wiring.sources.worm.matched_names`.
"""

from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ngpipe import hashing
from ngpipe.config.atlas.measured import ResponseTable, WormAtlas
from ngpipe.errors import StoreError
from ngpipe.wiring.edges import few
from ngpipe.wiring.sources import worm
from ngpipe.wiring.sources.matrix_files import HDF
from ngpipe.wiring.sources.places import WORM_ATLAS, locate, packaged
from ngpipe.wiring.sources.table_files import needed


def measured_responses(source: WormAtlas | ResponseTable) -> xr.Dataset:
    """The responses that a section `measured` describes.

    Returns:
        ``response`` (post, pre), row i responds, column j was stimulated, and, where known,
        ``trials`` (post, pre), how often both happened in one recording. NaN: not measured.
        Attributes tell the source.

    Raises:
        StoreError: a file that is not there or not of that kind, or a name that stands twice.
    """
    if isinstance(source, ResponseTable):
        return response_table(Path(source.path), rows=source.rows, units=source.units)
    return worm_atlas(source.path, source.strain, source.response, least_trials=source.least_trials)


def worm_atlas(
    path: Path | str | None = None,
    strain: str = "wt",
    response: str = "amplitude",
    *,
    least_trials: int = 1,
    download: bool = True,
) -> xr.Dataset:
    r"""The signal propagation atlas of C. elegans, 300 neurons under the names of `celegans`.

    Args:
        path: ``funatlas.h5`` of wormneuroatlas, or a directory with it.
        strain: ``wt`` or ``unc31``.
        response: ``amplitude`` (mean dF/F) or ``significance`` (1 - q).
        least_trials: pairs measured less often are NaN.
        download: whether the file may be downloaded where no package has it.

    Raises:
        StoreError: not found, with how to get it; or a file of another kind.
    """
    file = locate(WORM_ATLAS, path, download=download)
    names, values, trials = _atlas(file, strain)
    value = values["dFF"] if response == "amplitude" else 1 - values["q"]
    value = np.where(trials >= least_trials, value, np.nan)
    trials = np.where(np.isfinite(value), trials, 0)
    units, long_name = {
        "amplitude": ("1", "mean response dF/F"),
        "significance": ("1", "significance of the response, 1 - q"),
    }[response]
    about = {"citation": WORM_ATLAS.citation, "licence": WORM_ATLAS.licence, "strain": strain}
    if file == packaged(WORM_ATLAS):
        about["version"] = f"{WORM_ATLAS.package} {metadata.version(WORM_ATLAS.package)}"
    found = _dataset(names, names, value, {"units": units, "long_name": long_name}, file)
    return found.assign(trials=(("post", "pre"), trials)).assign_attrs(about)


def response_table(path: Path, *, rows: str = "responding", units: str = "1") -> xr.Dataset:
    """Responses from a sheet of text with names in its first row and column.

    Raises:
        StoreError: absent, no numbers, or a name that stands twice.
    """
    if not path.is_file():
        raise StoreError(f"no file at {path.absolute()}; correct measured.path")
    separator = "\t" if path.suffix == ".tsv" else ","
    table = pd.read_csv(path, sep=separator, index_col=0, dtype=str).rename(index=str)
    numbers = table.apply(pd.to_numeric, errors="coerce")
    wrong = np.argwhere((numbers.isna() & table.notna()).to_numpy())
    if len(wrong):
        row, column = wrong[0]
        raise StoreError(
            f"{path} has {table.iat[row, column]!r} in row {table.index[row]}, column "
            f"{table.columns[column]}, expected a number, or an empty cell where nothing was "
            "measured"
        )
    values = numbers.to_numpy(np.float64)
    post, pre = list(table.index), list(table.columns)
    if rows == "stimulated":
        values, post, pre = values.T, pre, post
    return _dataset(post, pre, values, {"units": units, "long_name": "response"}, path)


def _atlas(file: Path, strain: str) -> tuple[list[str], dict[str, np.ndarray], np.ndarray]:
    """Names, ``dFF`` and ``q``, and the number of trials of a strain."""
    with needed("h5py", file, HDF).File(file, "r") as content:
        try:
            part: Any = content[strain]
            names = [name.decode() for name in content["neuron_ids"][()]]
            values = {name: np.asarray(part[name][()], np.float64) for name in ("dFF", "q")}
            trials = np.asarray(part["occ1"][()], np.int64)
        except KeyError as error:
            raise StoreError(
                f"{file} is not funatlas.h5 of wormneuroatlas ({error}); expected neuron_ids and, "
                f"in {strain}, dFF, q and occ1"
            ) from error
    return worm.matched_names(names), values, trials


def _dataset(
    post: list[str], pre: list[str], values: np.ndarray, about: dict[str, str], file: Path
) -> xr.Dataset:
    for names, what in ((post, "responding"), (pre, "stimulated")):
        index = pd.Index(names)
        if index.has_duplicates:
            raise StoreError(
                f"{file}: {few(index[index.duplicated()])} stand twice among the {what} neurons; "
                "give each neuron one row and one column"
            )
    if not np.isfinite(values).any():
        raise StoreError(f"{file} holds no measured response; every value is missing")
    coords = {"post": np.array(post), "pre": np.array(pre)}
    response = xr.DataArray(values, coords, ("post", "pre"), attrs=about)
    attrs = {"source": str(file), "sha256": hashing.file_digest(file)}
    return xr.Dataset({"response": response}, attrs=attrs)
