#!/usr/bin/env bash
# zarr 3.1.6: a group with one array of bytes that zarr 2.18.7 wrote cannot be listed.
#
# Expected: zarr 3 reads format 2, and so the group of numbers, text and bytes that zarr 2 wrote a moment before, as it
# does without the bytes; or it leaves out the one array that it cannot read.
# What happens: zarr 2 gives an array of bytes of variable length (codec vlen-bytes) the fill value 0. zarr 3 wants text
# there and raises TypeError while it reads the metadata, for the whole group: members() and arrays(), and with them
# xarray.open_zarr. Text (vlen-utf8) with the fill value 0 is read. The other arrays open by name. NWB files in zarr, as
# hdmf-zarr 0.13.0 writes them, hold their dates as such bytes at the top level.
# Output seen:
#   written by zarr 2.18.7: when has dtype |O, fill_value 0
#   read by zarr 3.1.6
#   numbers and text by name: [0, 1, 2] ['a', 'b']
#   members of the group: TypeError: Invalid type: 0. Expected a string.
#   with the fill value "" in .zarray: ['numbers', 'text', 'when'] [b'2026', b'2027']
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv two
python3 -m venv three
two/bin/pip install --quiet zarr==2.18.7 numcodecs==0.15.1
three/bin/pip install --quiet zarr==3.1.6
two/bin/python - <<'PY'
import json

import numcodecs
import numpy as np
import zarr

root = zarr.open_group("a.zarr", mode="w")
root.create_dataset("numbers", data=np.arange(3))
root.create_dataset("text", data=["a", "b"], dtype=str)
days = np.array([b"2026", b"2027"], dtype=object)
root.create_dataset("when", data=days, dtype=object, object_codec=numcodecs.VLenBytes())
about = json.load(open("a.zarr/when/.zarray"))
print(
    f"written by zarr {zarr.__version__}: when has dtype {about['dtype']}, "
    f"fill_value {about['fill_value']}"
)
PY
three/bin/python -W ignore - <<'PY'
import json

import zarr

print("read by zarr", zarr.__version__)
one, other = (zarr.open_array(f"a.zarr/{n}", mode="r")[:].tolist() for n in ("numbers", "text"))
print("numbers and text by name:", one, other)


def names():
    return sorted(name for name, _ in zarr.open_group("a.zarr", mode="r").members())


try:
    names()
except TypeError as error:
    print(f"members of the group: TypeError: {error}")
else:
    raise SystemExit("the behaviour has changed: the group can be listed")
about = json.load(open("a.zarr/when/.zarray"))
json.dump(about | {"fill_value": ""}, open("a.zarr/when/.zarray", "w"))
days = zarr.open_array("a.zarr/when", mode="r")[:].tolist()
print('with the fill value "" in .zarray:', names(), days, flush=True)
if names() != ["numbers", "text", "when"] or days != [b"2026", b"2027"]:
    raise SystemExit("the behaviour has changed")
PY
