"""One small network, and what is recovered of it, for all tests in here."""

from typing import TYPE_CHECKING

import pytest
import xarray as xr
from small_networks import LABELS, QUICK, noisy_network

if TYPE_CHECKING:
    from ngpipe import RecoveredAssembly


@pytest.fixture(scope="session")
def recording() -> xr.Dataset:
    """Activity of eight neurons of two types under noise, and its exact rate; and the truth."""
    return noisy_network(LABELS, n_frames=1200, dt=0.05)


@pytest.fixture(scope="session")
def pair(recording) -> dict[str, xr.DataArray]:
    """What is seen, without times."""
    return {name: recording[name] for name in ("activity", "drift")}


@pytest.fixture(scope="session")
def found(pair) -> "RecoveredAssembly":
    """What is recovered of it."""
    from ngpipe import recover  # here, as up there its types would not be checked

    return recover(pair["activity"], 0.05, drift=pair["drift"], training=QUICK)
