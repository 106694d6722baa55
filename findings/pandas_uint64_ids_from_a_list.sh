#!/usr/bin/env bash
# pandas 3.1.1 (numpy 2.4.6): ids from 2^63 on, given as a list of Python integers to the nullable
# type UInt64, as a table of neurons may be built.
#
# Expected: the ids as given, as with uint64, or an error.
# Seen: where the first is 2^63 or more and a later one is less, all go through decimal numbers:
#   UInt64: [9223372036854775808, 9223372036854775807] becomes [9223372036854775808, 9223372036854775808]
#   in the other order, and with uint64 or uint64[pyarrow] in either order, nothing is lost.
# Two neurons become one. Give a numpy array of uint64, which keeps all digits.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet pandas==3.1.1 numpy==2.4.6 pyarrow==26.0.1
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import pandas as pd

print("pandas", pd.__version__, "numpy", np.__version__)
first, second = 2**63, 2**63 - 1
kept = {}
for dtype in ("uint64", "UInt64", "uint64[pyarrow]"):
    for ids in ([first, second], [second, first]):
        found = [int(one) for one in pd.Series(ids, dtype=dtype)]
        exact = [int(one) for one in pd.Series(np.array(ids, dtype="uint64"), dtype=dtype)]
        kept[dtype, ids[0]] = found == ids
        print(f"{dtype}: {ids} becomes {found}; from a numpy array {exact}")
        assert exact == ids
lost = [key for key, same in kept.items() if not same]
assert lost == [("UInt64", first)], f"behaviour changed: lost are {lost}"
PYTHON
