#!/usr/bin/env bash
# xarray 2026.9.0, zarr 3.1.6: zeros of a format-2 store that zarr alone wrote become NaN, and the option against it
# has no effect.
#
# Expected: zarr gives an array the fill value 0 unless told otherwise, so a fill value of 0 says nothing about
# missing values. xarray takes it for one in format 2, as documented; its option use_zarr_fill_value_as_mask=False
# should keep the zeros.
# What happens: open_zarr and open_dataset accept the option and drop it (the entry point of the backend passes None
# on), so a mask [1, 0, 1] of int8 reads as [1.0, nan, 1.0], and NaN counts as true. mask_and_scale=False keeps the
# zeros, but then scale_factor and add_offset are not applied either. In format 3 zeros stay zeros.
# Output seen:
#   xarray 2026.9.0 zarr 3.1.6
#   format 2, as it is                           [1.0, nan, 1.0] float32
#   format 2, use_zarr_fill_value_as_mask=False  [1.0, nan, 1.0] float32
#   format 2, mask_and_scale=False               [1, 0, 1] int8
#   format 3, as it is                           [1, 0, 1] int8
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet xarray==2026.9.0 zarr==3.1.6
cd "$work"
venv/bin/python - <<'PY'
import numpy as np
import xarray as xr
import zarr

print("xarray", xr.__version__, "zarr", zarr.__version__)
mask = np.array([1, 0, 1], dtype="int8")
two = zarr.open_group("two.zarr", mode="w", zarr_format=2).create_array("driven", data=mask)
two.attrs["_ARRAY_DIMENSIONS"] = ["neuron"]
three = zarr.open_group("three.zarr", mode="w", zarr_format=3)
three.create_array("driven", data=mask, dimension_names=["neuron"])


def read(label, path, **options):
    driven = xr.open_zarr(path, consolidated=False, chunks=None, **options)["driven"]
    print(f"{label:<44} {driven.values.tolist()} {driven.dtype}")
    return driven.values


plain = read("format 2, as it is", "two.zarr")
asked = read(
    "format 2, use_zarr_fill_value_as_mask=False", "two.zarr", use_zarr_fill_value_as_mask=False
)
kept = read("format 2, mask_and_scale=False", "two.zarr", mask_and_scale=False)
other = read("format 3, as it is", "three.zarr")
lost = [np.isnan(plain[1]), np.isnan(asked[1])]
if not all(lost) or kept.tolist() != [1, 0, 1] or other.tolist() != [1, 0, 1]:
    raise SystemExit("the behaviour has changed")
PY
