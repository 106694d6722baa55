#!/usr/bin/env bash
# pynwb 4.2.0: timestamps that fall and repeat are built, written, validated and read without a word.
#
# Expected: timestamps of a TimeSeries are times of successive samples; some that fall make differences and rates
# negative, so pynwb warns of them, as it does of a rate of 0, or its validator and inspector names them.
# What happens: nothing is said by the constructor, the writer, pynwb.validate or the reader. Check that they rise.
# Output seen:
#   pynwb 4.2.0
#   timestamps [0.0, 0.2, 0.1, 0.1, 0.4]: warnings 0, errors of validate []
#   read back: [0.0, 0.2, 0.1, 0.1, 0.4]
#   rate 0: 1 warning when built
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pynwb==4.2.0 hdmf==6.2.0 numpy==2.4.6 h5py==3.16.0 pandas==3.1.1
cd "$work"
venv/bin/python - <<'PY'
import warnings
from datetime import datetime, timezone

import numpy as np
import pynwb

print("pynwb", pynwb.__version__)
times = [0.0, 0.2, 0.1, 0.1, 0.4]
with warnings.catch_warnings(record=True) as found:
    warnings.simplefilter("always")
    nwb = pynwb.NWBFile("s", "1", datetime(2026, 1, 1, tzinfo=timezone.utc))
    series = pynwb.TimeSeries(name="a", data=np.arange(5.0), unit="V", timestamps=times)
    nwb.add_acquisition(series)
    with pynwb.NWBHDF5IO("a.nwb", "w") as io:
        io.write(nwb)
    with pynwb.NWBHDF5IO("a.nwb", "r") as io:
        back = io.read().acquisition["a"].timestamps[:].tolist()
    errors = pynwb.validate(path="a.nwb")
ours = [one for one in found if "timestamps" in str(one.message).lower()]
print(f"timestamps {times}: warnings {len(ours)}, errors of validate {errors}")
print("read back:", back)
with warnings.catch_warnings(record=True) as found:
    warnings.simplefilter("always")
    pynwb.TimeSeries(name="b", data=np.arange(5.0), unit="V", rate=0.0)
told = [one for one in found if "rate" in str(one.message).lower()]
print(f"rate 0: {len(told)} warning{'s' * (len(told) != 1)} when built")
if ours or errors or back != times or len(told) != 1:
    raise SystemExit("the behaviour has changed")
PY
