"""``xarray.open_datatree("results/runs/<experiment>")``: all stores of a run as one tree.

Registered with xarray as the engine ``ngpipe`` when the package is installed. xarray imports this
module whenever it opens anything, so stores are imported when one is opened.
"""

import os
from pathlib import Path
from typing import Any

import xarray as xr
from xarray.backends import BackendEntrypoint


class Run(BackendEntrypoint):
    """Opens the directory of a run: one node a store, named as its file without ``.zarr``."""

    description = "Open the stores of a run of ngpipe"
    open_dataset_parameters = ("filename_or_obj", "drop_variables")
    supports_groups = True

    def guess_can_open(self, filename_or_obj: Any) -> bool:  # noqa: ANN401
        """A directory that holds a store of ngpipe beside its manifest."""
        if not isinstance(filename_or_obj, str | os.PathLike):
            return False
        return bool(_stores(Path(filename_or_obj)))

    def open_dataset(self, filename_or_obj: Any, *, drop_variables: Any = None) -> xr.Dataset:  # noqa: ANN401
        """A run is no dataset: its stores have dimensions of the same name and another length."""
        names = [path.name for path in _stores(Path(filename_or_obj))]
        raise ValueError(
            f"{filename_or_obj} holds the stores {names}; open one of them with xarray.open_zarr, "
            "or all with xarray.open_datatree"
        )

    def open_datatree(self, filename_or_obj: Any, *, drop_variables: Any = None) -> xr.DataTree:  # noqa: ANN401
        """All stores of a run, lazily, each held against its manifest."""
        from ngpipe import store

        stores = {path.stem: store.read(path, {}) for path in _stores(Path(filename_or_obj))}
        dropped = drop_variables or []
        return xr.DataTree.from_dict(
            {name: found.drop_vars(dropped, errors="ignore") for name, found in stores.items()}
        )


def _stores(directory: Path) -> list[Path]:
    found = sorted(directory.glob("*.zarr")) if directory.is_dir() else []
    return [path for path in found if path.with_suffix(".json").is_file()]
