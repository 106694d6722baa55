"""Agreement of an estimate with a connectome as a config asks for it, with its progress."""

from collections.abc import Iterator, Mapping

import pandas as pd
import xarray as xr

from ngpipe.artifacts.progress import progress
from ngpipe.config.agreement import Agreement, CompareWith
from ngpipe.config.wiring import CelegansSource
from ngpipe.metrics.wiring_agreement import agreement
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.nulls.table import samples
from ngpipe.wiring.sources import worm
from ngpipe.wiring.sources.table import read_source


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


def compared_with(
    estimate: xr.DataArray, cfg: CompareWith
) -> tuple[pd.DataFrame, Mapping[str, int]]:
    """The same with the connectome that the config names, see :func:`compared`.

    Raises:
        StoreError: a connectome that is not there, with the ways to get it.
        ConnectomeError: estimate without the names of its neurons, too few pairs in common, or a
            null that the connectome cannot have.
    """
    source = cfg.connectome.source
    connectome = read_source(source).signed(cfg.connectome.without_sign)
    for dim in ("post", "pre"):
        if dim in estimate.coords:
            names = [str(name) for name in estimate[dim].values]
            if isinstance(source, CelegansSource):
                names = worm.matched_names(names)
            estimate = estimate.assign_coords({dim: names})
    ids = [str(one) for one in connectome.ids]
    return compared(estimate, connectome.described(id=ids), cfg)
