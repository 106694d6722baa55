#!/usr/bin/env bash
# zarr 3.1.6, xarray 2026.9.0: frames that zarr appends to a store of xarray are hidden from every later reader.
#
# Expected: after zarr.open_group(path)["movie"].append(frames) the store has the new frames, for xarray and zarr.
# What happens: xarray consolidates metadata when it writes format 2 (and format 3, with a warning). append() updates
# the metadata of the array but not the consolidated copy, which xarray.open_zarr and zarr.open_group read by
# default: they give the old length, without a word. Only readers that ask for it (consolidated=False,
# use_consolidated=False) see all frames.
# Output seen:
#   xarray 2026.9.0 zarr 3.1.6
#   format 2: 4 frames, 4 appended: xarray reads 4, zarr 4; unconsolidated: xarray 8, zarr 8
#   format 3: 4 frames, 4 appended: xarray reads 4, zarr 4; unconsolidated: xarray 8, zarr 8
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet xarray==2026.9.0 zarr==3.1.6
cd "$work"
venv/bin/python -W ignore - <<'PY'
import numpy as np
import xarray as xr
import zarr

print("xarray", xr.__version__, "zarr", zarr.__version__)
frames = np.arange(8.0).reshape(4, 2)
found = []
for version in (2, 3):
    path = f"movie{version}.zarr"
    dataset = xr.Dataset({"movie": (("image", "pixel"), frames)})
    dataset.to_zarr(path, zarr_format=version, consolidated=True)
    zarr.open_group(path, mode="r+")["movie"].append(frames)
    plain = xr.open_zarr(path).sizes["image"], zarr.open_group(path, mode="r")["movie"].shape[0]
    full = (
        xr.open_zarr(path, consolidated=False).sizes["image"],
        zarr.open_group(path, mode="r", use_consolidated=False)["movie"].shape[0],
    )
    found.append((*plain, *full))
    print(
        f"format {version}: 4 frames, 4 appended: xarray reads {plain[0]}, zarr {plain[1]}; "
        f"unconsolidated: xarray {full[0]}, zarr {full[1]}"
    )
if found != [(4, 4, 8, 8)] * 2:
    raise SystemExit("the behaviour has changed")
PY
