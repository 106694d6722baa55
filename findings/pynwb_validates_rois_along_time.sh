#!/usr/bin/env bash
# pynwb 4.2.0: a series of ROIs with its axes exchanged passes validation.
#
# Expected: NWB prescribes (time, ROI). A RoiResponseSeries of 4 ROIs whose data have the shape (4, 50) contradicts its
# own table of ROIs, and pynwb.validate says so.
# What happens: pynwb warns when the series is built and when it is read, and writes it; validate reports nothing. A
# square array with exchanged axes gives no word anywhere. Readers that trust the file take 4 ROIs for 4 frames: compare
# the second axis with the number of rows in `rois`.
# Output seen:
#   pynwb 4.2.0
#   (4, 50) of 4 ROIs: 1 warning when built, 1 when read, errors of validate: []
#   (4, 4) of 4 ROIs: 0 warnings when built, 0 when read, errors of validate: []
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
from pynwb import ophys

print("pynwb", pynwb.__version__)


def write(path, data):
    nwb = pynwb.NWBFile("s", "1", datetime(2026, 1, 1, tzinfo=timezone.utc))
    channel = ophys.OpticalChannel(name="c", description="c", emission_lambda=500.0)
    plane = nwb.create_imaging_plane(
        name="p", optical_channel=channel, description="p", device=nwb.create_device("d"),
        excitation_lambda=600.0, indicator="GCaMP", location="x",
    )
    segmentation = ophys.ImageSegmentation()
    rois = segmentation.create_plane_segmentation("rois", plane, "rois")
    for k in range(4):
        rois.add_roi(pixel_mask=[(k, k, 1.0)])
    module = nwb.create_processing_module("ophys", "o")
    module.add(segmentation)
    traces = ophys.Fluorescence()
    module.add(traces)
    region = rois.create_roi_table_region("all", region=[0, 1, 2, 3])
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        traces.create_roi_response_series(
            name="roi", data=data, rois=region, unit="dF/F", rate=30.0
        )
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return len(found)


def read(path):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        with pynwb.NWBHDF5IO(path, "r") as io:
            io.read()
    return sum("shape" in str(one.message) or "length" in str(one.message) for one in found)


seen = {}
for shape in ((4, 50), (4, 4)):
    built = write("a.nwb", np.random.rand(*shape))
    told, errors = read("a.nwb"), pynwb.validate(path="a.nwb")
    seen[shape] = (built, told, errors)
    print(
        f"{shape} of 4 ROIs: {built} warning{'s' * (built != 1)} when built, {told} when read, "
        f"errors of validate: {errors}"
    )
if seen != {(4, 50): (1, 1, []), (4, 4): (0, 0, [])}:
    raise SystemExit("the behaviour has changed")
PY
