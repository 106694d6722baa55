"""A recording written as an NWB file, as calcium imaging is: ROIs with labels, dF/F over time."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ngpipe.acquisition.formats.extras import needed

SERIES = "processing/ophys/DfOverF/cells"
"""Path of the activity in the file."""
_DAY = datetime(2000, 1, 1, tzinfo=UTC)


def write(
    path: Path,
    values: Float[np.ndarray, "frame roi"],
    times: Float[np.ndarray, " frame"],
    labels: Sequence[str],
) -> None:
    """Write one session; the library gives every object in a file a random name of its own.

    Args:
        path: of the file; overwritten.
        values: dF/F.
        times: of the frames [s].
        labels: names of the ROIs.

    Raises:
        RecordingError: pynwb is not installed.
    """
    pynwb = needed("pynwb", path, "nwb")
    nwb = pynwb.NWBFile(
        session_description="a simulated assembly",
        identifier=path.stem,
        session_start_time=_DAY,
        file_create_date=_DAY,
    )
    _add_fluorescence(pynwb.ophys, nwb, values.astype(np.float32), times, labels)
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(nwb)


def _add_fluorescence(
    ophys: Any,  # noqa: ANN401
    nwb: Any,  # noqa: ANN401
    values: np.ndarray,
    times: np.ndarray,
    labels: Sequence[str],
) -> None:
    """A plane, its ROIs, and their dF/F."""
    plane = nwb.create_imaging_plane(
        name="plane",
        optical_channel=ophys.OpticalChannel(
            name="green", description="emission", emission_lambda=520.0
        ),
        description="one plane",
        device=nwb.create_device(name="microscope"),
        excitation_lambda=920.0,
        indicator="simulated",
        location="simulated",
    )
    module = nwb.create_processing_module(name="ophys", description="fluorescence of ROIs")
    rois = ophys.PlaneSegmentation(name="rois", description="cells", imaging_plane=plane)
    rois.add_column(name="label", description="name of the cell")
    for label in labels:
        rois.add_roi(pixel_mask=[(0, 0, 1.0)], label=label)
    module.add(ophys.ImageSegmentation(plane_segmentations=[rois]))
    every = rois.create_roi_table_region(description="all cells", region=list(range(len(labels))))
    series = ophys.RoiResponseSeries(
        name="cells",
        data=values,
        unit="dF/F",
        rois=every,
        timestamps=times,
    )
    traces = ophys.DfOverF(name="DfOverF")
    module.add(traces)
    traces.add_roi_response_series(series)
