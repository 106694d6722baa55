#!/usr/bin/env bash
# numpy 2.4.6: np.unique of edges, each written as the one number pre * n_neurons + post, of which
# nearly all differ, as in a table of connections that is searched for duplicates.
#
# Expected: about the time of np.sort, after which duplicates stand side by side; asking for more
# (return_index=True) takes longer.
# Seen: without options integers go through a hash table. For 3 million different edges that takes
# 40 to 75 times as long as np.sort, and 5 to 8 times as long as np.unique with return_index=True,
# which sorts. Where most edges are repeated it is the faster way, as it is meant to be.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
from time import process_time

import numpy as np

print("numpy", np.__version__)


def seconds(call) -> float:
    begun = process_time()
    call()
    return process_time() - begun


neurons = 138_639
edges = np.random.default_rng(0).integers(0, neurons**2, 3_000_000)
plain = seconds(lambda: np.unique(edges))
indexed = seconds(lambda: np.unique(edges, return_index=True))
sort = seconds(lambda: np.sort(edges))
print(f"unique {plain:.2f} s, with return_index {indexed:.2f} s, sort {sort:.3f} s")
assert plain > 10 * sort, "behaviour changed: np.unique is about as fast as np.sort"
assert plain > 2 * indexed, "behaviour changed: return_index=True is no longer the faster call"
PYTHON
