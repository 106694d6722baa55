"""A recording written as an NWB file, as calcium imaging is: ROIs with labels, dF/F over time."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ngpipe.acquisition.formats.extras import needed

SERIES = "processing/ophys/DfOverF/cells"
"""Path of the activity in the file."""
_DAY = datetime(2000, 1, 1, tzinfo=UTC)
_IDENTIFIER = "simulated recording"


def write(
    path: Path,
    values: Float[np.ndarray, "frame roi"],
    times: Float[np.ndarray, " frame"],
    labels: Sequence[str],
) -> None:
    """Write one session.

    Args:
        path: of the file; overwritten.
        values: dF/F.
        times: of the frames [s].
        labels: names of the ROIs.

    Raises:
        RecordingError: pynwb is not installed.
    """
    pynwb = needed("pynwb", path, "nwb")
    ophys = pynwb.ophys
    nwb = pynwb.NWBFile("a simulated assembly", _IDENTIFIER, _DAY, file_create_date=_DAY)
    device = nwb.create_device("microscope")
    channel = ophys.OpticalChannel("green", "emission", 520.0)
    plane = nwb.create_imaging_plane(
        name="plane",
        optical_channel=channel,
        description="one plane",
        device=device,
        excitation_lambda=920.0,
        indicator="simulated",
        location="simulated",
    )
    module = nwb.create_processing_module("ophys", "fluorescence of ROIs")
    segmentation = ophys.PlaneSegmentation("ROIs of the plane", plane, name="rois")
    segmentation.add_column("label", "name of the cell")
    for label in labels:
        segmentation.add_roi(pixel_mask=[(0, 0, 1.0)], label=label)
    module.add(ophys.ImageSegmentation(plane_segmentations=[segmentation]))
    rows = segmentation.create_roi_table_region("all cells", region=list(range(len(labels))))
    series = ophys.RoiResponseSeries(
        "cells", values.astype(np.float32), unit="dF/F", rois=rows, timestamps=times
    )
    module.add(ophys.DfOverF(roi_response_series=series))
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(nwb)
