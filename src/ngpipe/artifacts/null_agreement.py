"""Agreement of an estimate with a connectome as a config asks for it, with its progress."""

from collections.abc import Iterator, Mapping

import pandas as pd
import xarray as xr

from ngpipe.artifacts.progress import progress
from ngpipe.config.agreement import Agreement
from ngpipe.metrics.wiring_agreement import agreement
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.nulls.table import samples


def compared(
    estimate: xr.DataArray, connectome: Connectome, cfg: Agreement
) -> tuple[pd.DataFrame, Mapping[str, int]]:
    """Table of all draws, and counts of pairs (:mod:`ngpipe.metrics.wiring_agreement`).

    Raises:
        ConnectomeError: too few pairs in common, or a null that the connectome cannot have.
    """
    with progress(len(cfg.nulls) * cfg.draws, "nulls", unit="sample") as bar:

        def drawn(name: str) -> Iterator[Connectome]:
            for sample in samples(connectome, name, cfg.draws, cfg.seed):
                yield sample
                bar.update()

        return agreement(estimate, connectome, {name: drawn(name) for name in cfg.nulls}, cfg.hops)
