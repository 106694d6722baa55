#!/usr/bin/env bash
# neo 0.14.6 (pynwb 4.2.0): signals of an NWB file come without their offset, and none with most conversions.
#
# Expected: the value of a TimeSeries of NWB in its unit is data * conversion + offset, as pynwb's get_data_in_units
# gives it. An AnalogSignal of neo carries its unit, so it holds values in it.
# What happens: NWBIO drops the offset without a word: 30 mV stands for -1.97 V. A conversion that is a power of 1000
# becomes a prefix of the unit; with any other, as most converters of analog signals have, no signal of the file is
# read (ValueError). "V" with a conversion of 0.001 becomes dimensionless. Read NWB with pynwb.
# Output seen:
#   neo 0.14.6 pynwb 4.2.0
#   stored 30, conversion 0.001, offset -2, unit volts: pynwb gives -1.97, neo 30.0 mV
#   stored 30, conversion 0.001, offset 0, unit V: pynwb gives 0.03, neo 30.0 dimensionless
#   stored 30, conversion 0.5, offset 0, unit volts: pynwb gives 15, neo Can't handle this conversion factor: 0.5
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet neo==0.14.6 quantities==0.16.4 pynwb==4.2.0 hdmf==6.2.0 numpy==2.4.6 \
  h5py==3.16.0 pandas==3.1.1
cd "$work"
venv/bin/python -W ignore - 2>/dev/null <<'PY'
from datetime import datetime, timezone

import neo
import numpy as np
import pynwb

print("neo", neo.__version__, "pynwb", pynwb.__version__)
seen = []
for k, (unit, conversion, offset) in enumerate(
    (("volts", 1e-3, -2.0), ("V", 1e-3, 0.0), ("volts", 0.5, 0.0))
):
    nwb = pynwb.NWBFile("s", "1", datetime(2026, 1, 1, tzinfo=timezone.utc))
    data = np.full((10, 2), 30, dtype=np.int16)
    nwb.add_acquisition(
        pynwb.TimeSeries(
            name="a", data=data, unit=unit, rate=100.0, conversion=conversion, offset=offset
        )
    )
    with pynwb.NWBHDF5IO(f"{k}.nwb", "w") as io:
        io.write(nwb)
    with pynwb.NWBHDF5IO(f"{k}.nwb", "r") as io:
        meant = float(io.read().acquisition["a"].get_data_in_units()[0, 0])
    try:
        block = neo.io.NWBIO(f"{k}.nwb", "r").read_all_blocks()[0]
        signal = block.segments[0].analogsignals[0]
        got = f"{float(signal.magnitude[0, 0])} {signal.dimensionality.string}"
    except ValueError as error:
        got = str(error)
    print(
        f"stored 30, conversion {conversion:g}, offset {offset:g}, unit {unit}: "
        f"pynwb gives {meant:g}, neo {got}",
        flush=True,
    )
    seen.append(got)
if seen != ["30.0 mV", "30.0 dimensionless", "Can't handle this conversion factor: 0.5"]:
    raise SystemExit("the behaviour has changed")
PY
